"""Articles that are pasted, and pages read as a browser shows them."""

from html.parser import HTMLParser

# What people paste, and what people try.
ARTICLES = {
    "plain": "The lantern was lifted.\n\n  Salt water had crept behind it, said Dr. Tennant: “£2.3m!”\n",
    "markup": '<script>alert(1)</script><img src=x onerror="alert(2)"> &amp; &lt;b&gt; ${alert(3)} {{value}} `x`',
    "control": "Bell\a, tab\t, return\r\nand \r alone, escape \x1b[31m, C1 \x85, form\f feed and more words.",
    "direction": "\u202eRight to left override\u202c and \u200fmarks\u200e, \u2066isolates\u2069, \ufeffmore.",
    "languages": "Инженеры поднимут фонарь. 工程师们将吊走灯笼。 سيرفع المهندسون الفانوس. Zażółć gęślą jaźń.",
    "emoji": "Ships 🚢🚢 pass 👩‍🔬 the reef 🇫🇮 at night 🌃!",
    "odd": "½ ﬁne Å Å \u00a0 \u2028 \u2029 zero\u200bwidth \ufffe end",
    "word": "Lantern",
}


class _Page(HTMLParser):
    """A page's text, its elements, and its scripts."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.text, self.tags, self.inside = "", [], 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data
