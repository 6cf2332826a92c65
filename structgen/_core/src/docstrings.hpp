// Docstrings of TokenAutomaton and Session (numpydoc).
#pragma once

namespace structgen::doc {

inline constexpr const char* kAutomaton = R"(Lazy automaton over tokens whose states are plain integers.

States are interned when they are first reached. A state and a vocabulary decide the allowed tokens (the mask), the
next states (the steps) and whether the document may end. ``DEAD`` and ``FINISHED`` are absorbing. All methods may be
called from any thread; those that compute something new release the GIL.

Attributes
----------
start : int
    The state before the first token.
vocabulary : Vocabulary
    The tokens that the masks are about.
)";

inline constexpr const char* kSession = R"(States of one request, with the methods of :class:`TokenAutomaton`.

Once the table of the automaton is full (``max_states``), states that are new belong to the session: they are numbered
from 2**30, freed with it, and count against a budget of its own. States of the automaton are valid in every
session.
)";

inline constexpr const char* kStep = R"(Advance by one token.

Parameters
----------
state : int
    A state of this automaton.
token : int
    A token id; any id below the width of the logits.

Returns
-------
int
    The next state; ``DEAD`` when the token is not allowed, ``FINISHED`` after an end token where the
    state accepts.

Raises
------
ValueError
    The state is unknown, or the token id is out of range.
LimitError
    A limit was reached.
)";

inline constexpr const char* kStepMany = R"(Advance by several tokens.

Returns
-------
list[int]
    The state after each token, up to and including the first ``DEAD``.
)";

inline constexpr const char* kMask = R"(The allowed tokens as a packed bit mask.

Returns
-------
ndarray of int32, shape (ceil(logits_size / 32),)
    Bit ``t % 32`` of word ``t // 32`` says whether token ``t`` is allowed. A read-only view that stays valid, whatever
    becomes of the automaton. End tokens are set exactly where the state accepts.
)";

inline constexpr const char* kFillMask = R"(Write the mask of a state into an array.

Parameters
----------
state : int
    A state of this automaton.
out : ndarray of int32, shape (ceil(logits_size / 32),)
    Writable and C-contiguous. A reference to the last array is kept, which makes the next call cheaper.
)";

inline constexpr const char* kFillMasks = R"(Write the masks of several states, in one call without the GIL.

Parameters
----------
states : sequence of int
    B states of this automaton.
out : ndarray of int32, shape (B, ceil(logits_size / 32))
    Writable and C-contiguous.
)";

inline constexpr const char* kFillMaskWithin = R"(Write the mask of the tokens after which the document can end soon.

Parameters
----------
state : int
    A state of this automaton.
out : ndarray of int32, shape (ceil(logits_size / 32),)
    Writable and C-contiguous.
max_bytes : int
    A token is kept when at most this many bytes complete the document after it. End tokens are kept
    where the state accepts.
)";

inline constexpr const char* kAccepts = R"(Whether the document may end in this state.)";

inline constexpr const char* kForced = R"(Bytes that every continuation begins with.

A hint for jumping ahead: it never narrows the mask to one tokenisation. Empty where the document may end.
)";

inline constexpr const char* kShortest = R"(The bytes of a shortest completion of the document.

With a vocabulary that lacks bytes of its own, a short one that its tokens can spell.

Raises
------
ValueError
    The state is ``DEAD``.
LimitError
    The completion would be longer than 16 MiB.
)";

inline constexpr const char* kAdvanceBytes = R"(Advance by bytes, whatever tokens they come in.

Returns
-------
int
    The next state, or ``DEAD``.
)";

inline constexpr const char* kEvents = R"(What happens in the grammar's structure when a token is read.

For automata of Lark grammars and of JSON Schemas. The token is read anew by each call; nothing is kept, and steps cost nothing for it.

Parameters
----------
state : int
    A state of this automaton.
token : int
    A token that is allowed there. For an end token, the result is that of ``events_at_end``.

Returns
-------
list[Event]
    In the order in which they happen; see :class:`structgen.Event`.

Raises
------
ValueError
    The automaton is neither that of a Lark grammar nor of a JSON Schema, the state is unknown, or the token is not allowed.
)";

inline constexpr const char* kEventsAtEnd = R"(What happens in the grammar's structure when the text ends in a state.

Returns
-------
list[Event]
    As of ``events``; all positions are 0.

Raises
------
ValueError
    The automaton is neither that of a Lark grammar nor of a JSON Schema, the state is unknown, or the text may not end there.
)";

inline constexpr const char* kOpenRules = R"(The rules of a Lark grammar, or nodes of a JSON Schema, that are certainly open in a state.

Returns
-------
tuple[str, ...]
    From the outermost on: the rules or nodes whose ``"open"`` event has come and whose ``"close"`` event has not, as
    far as all readings of the text agree.

Raises
------
ValueError
    The automaton is neither that of a Lark grammar nor of a JSON Schema, or the state is unknown.
)";

inline constexpr const char* kRuleNames = R"(The names that events of rules, or of the nodes of a JSON Schema, can have.

Returns
-------
tuple[str, ...]
    Each once, in the order of the grammar.

Raises
------
ValueError
    The automaton is neither that of a Lark grammar nor of a JSON Schema.
)";

inline constexpr const char* kSessionMethod = R"(Open a session: states of one request that are freed with it.)";

inline constexpr const char* kTables = R"(The tables of a finite automaton; :func:`structgen.frozen.freeze` makes them usable.

Returns
-------
tuple
    The class of each token id; of each state, where its row begins (and one past the end); the classes of all rows; where
    these lead; whether each state accepts; the number of classes.
)";

inline constexpr const char* kFreeze = R"(All states and transitions as tables on a device: :func:`structgen.frozen.freeze`, which see for options.

Returns
-------
DeviceAutomaton

Raises
------
LimitError
    The automaton is infinite, or too large.
FreezeError
    Its states remember text.
ImportError
    PyTorch is not installed.
)";

inline constexpr const char* kStats = R"(Sizes and counters.

Returns
-------
dict[str, int]
    ``states`` and ``stack_sets``; memory in ``bytes``, of which ``mask_bytes`` for masks; ``steps_computed``,
    ``masks_computed`` (of which ``masks_shared`` came from the cache of another state), ``suffix_walks``,
    ``suffix_walks_shared``, ``mask_evictions``; the time spent on them in ``step_nanoseconds`` and ``mask_nanoseconds``.
    Memoised answers are not counted.
)";

}  // namespace structgen::doc
