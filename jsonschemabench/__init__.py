"""Benchmarks of structured-generation engines, side by side and isolated from each other.

Run ``python -m jsonschemabench --help``. The parts:

=====================  ======================================================================
``datasets``           schemas with labelled instances (MaskBench files in a folder or a tar)
``hub``                datasets of the Hugging Face hub
``vocabularies``       engine-independent vocabularies: token bytes, end tokens, an encoder
``engines``            one adapter per engine behind one small base class
``gguf``               a vocabulary as the file that llama.cpp reads
``worker``, ``pool``   one process per engine: time-outs, memory limits, restarts
``masks``              the run: schemas in turn, engines alternating, one row per schema
``walks``              random walks under masks: what engines write
``judge``              whether a text conforms, as ``jsonschema`` judges it
``official_suite``     the cases of the official JSON Schema Test Suite, and their remote documents
``suite``              the run over them: what is right per keyword and draft
``tasks``              small tasks in five domains, for sampling methods
``sampler_quality``    sampling methods on those tasks: accuracy, cost, intervals
``exact``              sampling methods against an exact conditional, by enumeration
``repetition``         decoding methods on code that repeats itself, and the time of the penalty
``diversity``          diverse beam search next to plain beams
``studies``            what these share: files of rows, lists in options, models
``lark_bench``         Lark grammars: the standard library, and peers
``forced``             how many forward passes forced text saves
``gpu``                what a constraint adds to a token of a large model, by ``decoding_ways``
``demo_schemas``       the schemas of the demo, for these two
``kernels``            masks applied to logits on a GPU
``caching``            automata from disk and from memory
``load``               many requests at a time, as servers have them
``results``            rows and the manifest, kept as JSON lines
``runs``               runs kept in a folder: run files, resuming, workers, Ray
``keywords``           which keywords of JSON Schema a schema uses
``features``           outcomes by keyword
``failures``           schemas that do not pass, by reason
``statistics``         counts, percentiles, comparisons of two engines
``sampler_inputs``     constraints, texts and probabilities of the ``samplers`` run
``sampler_bench``      what adaptive weighted rejection costs next to masks
``genlm_worker``       genlm-control's sampler in its own interpreter
``report``             tables
``reports``            reports as HTML, Markdown and CSV
``compare``            what changed between two runs, and whether it is a regression
``commands``           the commands of the command line
``progress``           how far a run is
``timeouts``           a bound on the time of work in this process
``frozen``             which schemas are finite automata that fit into tables
``memory``             resident memory over many schemas in one process
``import_time``        how long ``import structgen`` takes
=====================  ======================================================================
"""
