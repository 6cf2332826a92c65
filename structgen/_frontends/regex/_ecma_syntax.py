"""Whether a pattern is valid syntax of ECMA-262, whatever it means."""

import re

from structgen._errors import LimitError
from structgen._frontends.regex import _ast, _unicode
from structgen._frontends.regex._ast import Node
from structgen._frontends.regex._charset import Ranges
from structgen._frontends.regex._ecma_parser import IrregularError, Parser, ProblemError

# Names that may stand in \\p{...}: binary properties, and values of Script and Script_Extensions.
BINARY_PROPERTIES = frozenset(
    """
    ASCII AHex ASCII_Hex_Digit Alpha Alphabetic Any Assigned Bidi_C Bidi_Control Bidi_M Bidi_Mirrored CI
    Case_Ignorable Cased CWCF Changes_When_Casefolded CWCM Changes_When_Casemapped CWKCF
    Changes_When_NFKC_Casefolded CWL Changes_When_Lowercased CWT Changes_When_Titlecased CWU
    Changes_When_Uppercased Dash DI Default_Ignorable_Code_Point Dep Deprecated Dia Diacritic Emoji EComp
    Emoji_Component EMod Emoji_Modifier EBase Emoji_Modifier_Base EPres Emoji_Presentation ExtPict
    Extended_Pictographic Ext Extender Gr_Base Grapheme_Base Gr_Ext Grapheme_Extend Hex Hex_Digit IDSB
    IDS_Binary_Operator IDST IDS_Trinary_Operator IDC ID_Continue IDS ID_Start Ideo Ideographic Join_C
    Join_Control LOE Logical_Order_Exception Lower Lowercase Math NChar Noncharacter_Code_Point Pat_Syn
    Pattern_Syntax Pat_WS Pattern_White_Space QMark Quotation_Mark Radical RI Regional_Indicator STerm
    Sentence_Terminal SD Soft_Dotted Term Terminal_Punctuation UIdeo Unified_Ideograph Upper Uppercase VS
    Variation_Selector space White_Space XIDC XID_Continue XIDS XID_Start
    """.split()
)
SCRIPTS = frozenset(
    """
    Adlam Adlm Aghb Ahom Anatolian_Hieroglyphs Arab Arabic Armenian Armi Armn Avestan Avst Bali Balinese
    Bamu Bamum Bass Bassa_Vah Batak Batk Beng Bengali Bhaiksuki Bhks Bopo Bopomofo Brah Brahmi Brai Braille
    Bugi Buginese Buhd Buhid Cakm Canadian_Aboriginal Cans Cari Carian Caucasian_Albanian Chakma Cham Cher
    Cherokee Chorasmian Chrs Common Copt Coptic Cpmn Cprt Cuneiform Cypriot Cypro_Minoan Cyrillic Cyrl
    Deseret Deva Devanagari Diak Dives_Akuru Dogr Dogra Dsrt Dupl Duployan Egyp Egyptian_Hieroglyphs Elba
    Elbasan Elym Elymaic Ethi Ethiopic Gara Garay Geor Georgian Glag Glagolitic Gong Gonm Goth Gothic Gran
    Grantha Greek Grek Gujarati Gujr Gukh Gunjala_Gondi Gurmukhi Guru Gurung_Khema Han Hang Hangul Hani
    Hanifi_Rohingya Hano Hanunoo Hatr Hatran Hebr Hebrew Hira Hiragana Hluw Hmng Hmnp Hung Imperial_Aramaic
    Inherited Inscriptional_Pahlavi Inscriptional_Parthian Ital Java Javanese Kaithi Kali Kana Kannada
    Katakana Kawi Kayah_Li Khar Kharoshthi Khitan_Small_Script Khmer Khmr Khoj Khojki Khudawadi Kirat_Rai
    Kits Knda Krai Kthi Lana Lao Laoo Latin Latn Lepc Lepcha Limb Limbu Lina Linb Linear_A Linear_B Lisu
    Lyci Lycian Lydi Lydian Mahajani Mahj Maka Makasar Malayalam Mand Mandaic Mani Manichaean Marc Marchen
    Masaram_Gondi Medefaidrin Medf Meetei_Mayek Mend Mende_Kikakui Merc Mero Meroitic_Cursive
    Meroitic_Hieroglyphs Miao Mlym Modi Mong Mongolian Mro Mroo Mtei Mult Multani Myanmar Mymr Nabataean
    Nag_Mundari Nagm Nand Nandinagari Narb Nbat New_Tai_Lue Newa Nko Nkoo Nshu Nushu Nyiakeng_Puachue_Hmong
    Ogam Ogham Ol_Chiki Ol_Onal Olck Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian
    Old_Sogdian Old_South_Arabian Old_Turkic Old_Uyghur Onao Oriya Orkh Orya Osage Osge Osma Osmanya Ougr
    Pahawh_Hmong Palm Palmyrene Pau_Cin_Hau Pauc Perm Phag Phags_Pa Phli Phlp Phnx Phoenician Plrd Prti
    Psalter_Pahlavi Qaac Qaai Rejang Rjng Rohg Runic Runr Samaritan Samr Sarb Saur Saurashtra Sgnw Sharada
    Shavian Shaw Shrd Sidd Siddham SignWriting Sind Sinh Sinhala Sogd Sogdian Sogo Sora Sora_Sompeng Soyo
    Soyombo Sund Sundanese Sunu Sunuwar Sylo Syloti_Nagri Syrc Syriac Tagalog Tagb Tagbanwa Tai_Le Tai_Tham
    Tai_Viet Takr Takri Tale Talu Tamil Taml Tang Tangsa Tangut Tavt Telu Telugu Tfng Tglg Thaa Thaana Thai
    Tibetan Tibt Tifinagh Tirh Tirhuta Tnsa Todhri Todr Toto Tulu_Tigalari Tutg Ugar Ugaritic Vai Vaii Vith
    Vithkuqi Wancho Wara Warang_Citi Wcho Xpeo Xsux Yezi Yezidi Yi Yiii Zanabazar_Square Zanb Zinh Zyyy
    Unknown Zzzz
    """.split()
)
GENERAL_CATEGORIES = frozenset(_unicode.CATEGORIES)
_CATEGORY_PROPERTIES = frozenset({"gc", "General_Category"})
_SCRIPT_PROPERTIES = frozenset({"sc", "Script", "scx", "Script_Extensions"})


def is_valid_ecma(pattern: str) -> bool:
    """Tell whether ECMA-262 allows a pattern, in Unicode mode or without it.

    The legacy syntax of Annex B, which is for web browsers, does not count. Lookarounds and backreferences
    do, also where no regular language means the same. Groups more than 100 deep count as invalid, and so do
    names of groups with escapes in them.
    """
    for syntax in (_UnicodeSyntax, _PlainSyntax):
        try:
            syntax(pattern, unicode=True).parse()
        except (ProblemError, LimitError):
            continue
        except IrregularError:  # raised at the end of a valid pattern with named backreferences
            pass
        return True
    return False


class _UnicodeSyntax(Parser):
    """Reads what has a meaning, and what has none that :class:`Parser` could return."""

    def _escape(self) -> tuple[Node, bool]:
        start = self.position
        following = self.pattern[start + 1 : start + 2]
        if following and following in "123456789":
            reference = self._numbered_reference(start)
            assert reference is not None
            self.position = start + len(reference)
            return _ast.EPSILON, True
        node, quantifiable = super()._escape()
        return node, quantifiable and following not in ("b", "B")

    def _class_escape(self) -> Ranges | None:
        match = re.compile(r"\\[pP]\{(?:([^}=]*)=)?([^}=]*)\}").match(self.pattern, self.position)
        if match is None:
            return super()._class_escape()
        name, value = match.groups()
        if name is None:
            known = value in BINARY_PROPERTIES or value in GENERAL_CATEGORIES
        else:
            known = (name in _CATEGORY_PROPERTIES and value in GENERAL_CATEGORIES) or (
                name in _SCRIPT_PROPERTIES and value in SCRIPTS
            )
        if not known:
            self._fail("unknown property")
        self.position = match.end()
        return ()

    def _counts(self, braces: re.Match[str]) -> tuple[int, int]:
        low, _, high = braces.groups()
        if high:
            low, high = (digits.lstrip("0") for digits in (low, high))
            if (len(low), low) > (len(high), high):  # compared as text: they may be huge
                self._fail("the bounds of the quantifier are out of order")
        return 0, 1


class _PlainSyntax(_UnicodeSyntax):
    """Without Unicode mode: other identity escapes, but neither code points in braces nor properties."""

    def _class_escape(self) -> Ranges | None:
        if self.pattern.startswith(("\\p", "\\P"), self.position):
            self._fail("properties need Unicode mode")
        return super()._class_escape()

    def _character_escape(self, in_class: bool) -> int:
        start = self.position
        letter = self.pattern[start + 1 : start + 2]
        if self.pattern.startswith("\\u{", start):
            self._fail("code points in braces need Unicode mode")
        if letter and not letter.isalnum() and not ("a" + letter).isidentifier():
            self.position += 2
            return ord(letter)
        return super()._character_escape(in_class)
