"""Texts that make tokenizers show their seams."""

TEXTS = [
    'plain ASCII, with punctuation: {"key": [1, -2.5e+10, true]}\n',
    " one leading space",
    "   three leading spaces and  double  spaces inside ",
    "tabs\tand\r\nline ends\n\n\n",
    "combining marks: e\u0301 a\u0308\u0323 n\u0303 and precomposed: é ä ñ",
    "CJK: 統一碼 汉字 日本語のテキスト 한국어",
    "rare CJK beyond the BMP: 𠮷𠀋𪚥",
    "emoji: 🦙 🙂 👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇯🇵",
    "right to left: שלום עולم مرحبا",
    "Devanagari and Thai: नमस्ते ภาษาไทย",
    "controls: \x01\x02\x7f\x80 \ufeff zero\u200bwidth\u2028line",
    "symbols: ∀x∈ℝ ≤ ½ ™ € \u00a0nbsp",
    "code:\n    def f(x):\n        return {'a': x[0]}\n",
    "runic and ogham, bytes for most tokenizers: ᚠᚢᚦ ᚁᚂᚃ 𓀀𓁐",
]
