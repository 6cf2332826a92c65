"""One generation after the other, told apart by their token ids alone: for runtimes with one row."""

from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from structgen._outputs.constraint import Node, RowConstraint
from structgen._outputs.interfaces import Automaton, MaskArray
from structgen._outputs.marker import make_marker

_Ids = npt.NDArray[np.integer]

# Rows that were left behind, kept to tell that an object serves several generations at a time.
_KEPT = 16


class SingleOutput:
    """Where the output stands whose prompt and tokens a runtime shows before each step.

    A call whose ids are those of the last call and one more token goes on; where there are drafts, so does
    one that goes back to a prefix of them and takes an allowed token there. Any other begins a generation,
    and all its ids are the prompt, unless `prompt_length` says where the prompt ends.

    Parameters
    ----------
    automaton : Automaton
        The constraint.
    start_after : str, bytes, int or sequence of int, optional
        See :class:`structgen.hf.AutomatonLogitsProcessor`.
    finish_by : int, optional
        Likewise.
    prompt_length : int, optional
        Number of leading ids that are the prompt.
    drafts : bool
        Whether the runtime takes tokens back.

    Raises
    ------
    TypeError
        `automaton` is none.
    ValueError
        An argument has no such value, or the shortest output does not fit into `finish_by`.
    """

    def __init__(
        self,
        automaton: Automaton,
        start_after: str | bytes | int | Sequence[int] | None,
        finish_by: int | None,
        prompt_length: int | None,
        *,
        drafts: bool,
    ) -> None:
        if not hasattr(automaton, "fill_masks") or not hasattr(automaton, "vocabulary"):
            raise TypeError(f"expected a TokenAutomaton, not {type(automaton).__name__}")
        if finish_by is not None and finish_by < 1:
            raise ValueError(f"finish_by must be positive, not {finish_by}")
        if prompt_length is not None and prompt_length < 0:
            raise ValueError(f"prompt_length must not be negative, but is {prompt_length}")
        marker = None if start_after is None else make_marker(start_after, automaton)
        self._rules = RowConstraint(automaton, marker, finish_by, True)
        self._ends = frozenset(automaton.vocabulary.eos_token_ids)
        self._fixed = prompt_length
        self._drafts = drafts
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next call begins a generation."""
        self._last: _Ids | None = None
        self._prompt = 0
        # Of the empty output, and after each of its tokens.
        self._nodes: list[Node] = []
        self._left: deque[_Ids] = deque(maxlen=_KEPT)

    @property
    def dead(self) -> bool:
        """Whether the output has left the language, or cannot end within the budget, as of the last call."""
        return bool(self._nodes) and self._nodes[-1].dead

    def fill(self, ids: _Ids, out: MaskArray) -> None:
        """Write the mask of what may follow `ids`.

        Parameters
        ----------
        ids : ndarray
            Prompt and output, integers, shape ``(L,)``.
        out : ndarray
            int32, shape ``(1, W)``.

        Raises
        ------
        ValueError
            `ids` cannot be those of the generation under way, and look like no prompt; the message says what
            to do.
        GuardDeadEnd
            Guards leave no token.
        """
        self._follow(ids)
        self._rules.fill(self._nodes[-1:], out)

    def _follow(self, ids: _Ids) -> None:
        last = self._last
        common = 0 if last is None else _common(last, ids)
        goes_on = last is not None and self._goes_on(last, ids, common)
        if last is not None and not goes_on and self._fixed is None:
            self._check_beginning(last, ids, common)
        # Where a step fails, nothing is known of where the output stands.
        self._last = None
        if goes_on:
            del self._nodes[common - self._prompt + 1 :]
            self._walk(ids[common:])
        else:
            self._begin(ids)
        if last is not None and common < len(last):
            self._left.append(last)
        # A runtime may write into its own array.
        self._last = ids.copy()

    def _goes_on(self, last: _Ids, ids: _Ids, common: int) -> bool:
        """Tell whether `ids` belong to the generation under way; `common` of them are those of last time."""
        if common < self._prompt or len(ids) <= self._prompt:
            return False
        if self._fixed is not None or common == len(last) == len(ids) - 1:
            return True
        if not self._drafts or common < len(ids) - 1:
            return False
        # What was drawn under a mask: another prompt hardly goes on like that.
        node = self._nodes[len(ids) - 1 - self._prompt]
        return not self._rules.child(node, int(ids[-1])).dead

    def _begin(self, ids: _Ids) -> None:
        prompt = len(ids) if self._fixed is None else self._fixed
        if len(ids) < prompt:
            raise ValueError(f"prompt_length is {prompt}, but there are {len(ids)} tokens")
        self._prompt = prompt
        self._nodes = [self._rules.root()]
        self._walk(ids[prompt:])

    def _walk(self, ids: _Ids) -> None:
        for token in ids.tolist():
            self._nodes.append(self._rules.child(self._nodes[-1], token))

    def _check_beginning(self, last: _Ids, ids: _Ids, common: int) -> None:
        """Refuse what would be taken for a prompt, but hardly is one."""
        if any(len(ids) == len(left) + 1 and np.array_equal(ids[:-1], left) for left in self._left):
            raise ValueError(
                "these tokens go on with a generation that was left for another: use one logits processor "
                "for each generation at a time, or call reset() before a prompt that repeats an output"
            )
        if common == len(last) and len(ids) > common + 1:
            token = int(ids[common])
            if token not in self._ends and not self._rules.child(self._nodes[-1], token).dead:
                raise ValueError(
                    "several tokens have come at once: either they are a draft, whose tokens nothing tells "
                    "from those accepted (go without a draft model), or the prompt repeats the last one and "
                    "its output (call reset() before that), or tokens were fed by hand (give prompt_length)"
                )


def _common(left: _Ids, right: _Ids) -> int:
    """Return the length of the longest common prefix."""
    length = min(len(left), len(right))
    differ = left[:length] != right[:length]
    return int(differ.argmax()) if differ.any() else length
