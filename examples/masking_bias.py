"""A trap: masks alone sample the wrong distribution, and sequential Monte Carlo the right one.

The model nearly always begins with "a", and then hardly ever goes on to "aab", the only text with it that is
allowed. Masking cannot see that, and takes "a" nine times out of ten.
"""

import math

import structgen
from structgen.samplers import SMC, LocallyConstrained, SamplingResult, TableModel

VOCABULARY = structgen.Vocabulary([b"", b"a", b"b"], eos_token_ids=0)
# Of the end, "a" and "b", after each text.
PROBABILITIES = {
    "": [0.0, 0.9, 0.1],
    "a": [0.9, 0.05, 0.05],
    "aa": [0.5, 0.2, 0.3],
    "aab": [0.5, 0.25, 0.25],
    "b": [0.6, 0.2, 0.2],
}


def logprobs(tokens: tuple[int, ...]) -> list[float]:
    """Return the model's log-probabilities after some tokens."""
    text = VOCABULARY.decode(tokens).decode()
    return [math.log(p) if p else -math.inf for p in PROBABILITIES.get(text, [1 / 3] * 3)]


def main() -> None:
    """Print the probabilities of both texts, and what samplers make of them."""
    model = TableModel(VOCABULARY, logprobs)
    automaton = structgen.compile_regex("aab|b", VOCABULARY)
    joint = {"aab": 0.9 * 0.05 * 0.3 * 0.5, "b": 0.1 * 0.6}
    evidence = sum(joint.values())
    print(f"{'':26}{'aab':>7}{'b':>7}  evidence")
    truth = "".join(f"{joint[text] / evidence:7.3f}" for text in ("aab", "b"))
    print(f"{'the truth':26}{truth}{evidence:10.4f}")
    for sampler in (LocallyConstrained(10_000), SMC(100), SMC(10_000)):
        result = structgen.generate(
            model, None, None, automaton, sampler, max_tokens=4, seed=0, progress=False
        )
        assert isinstance(result, SamplingResult)
        posterior, name = result.posterior(), f"{type(sampler).__name__}({sampler.particles})"
        shares = "".join(f"{posterior.get(text, 0.0):7.3f}" for text in ("aab", "b"))
        print(f"{name:26}{shares}{math.exp(result.log_evidence):10.4f}")


if __name__ == "__main__":
    main()
