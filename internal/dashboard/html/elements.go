package html

// The elements that pages are made of.

func A(nodes ...Node) Node          { return El("a", nodes...) }
func Article(nodes ...Node) Node    { return El("article", nodes...) }
func Aside(nodes ...Node) Node      { return El("aside", nodes...) }
func Body(nodes ...Node) Node       { return El("body", nodes...) }
func Button(nodes ...Node) Node     { return El("button", nodes...) }
func Code(nodes ...Node) Node       { return El("code", nodes...) }
func DataList(nodes ...Node) Node   { return El("datalist", nodes...) }
func Dd(nodes ...Node) Node         { return El("dd", nodes...) }
func Details(nodes ...Node) Node    { return El("details", nodes...) }
func Dialog(nodes ...Node) Node     { return El("dialog", nodes...) }
func Div(nodes ...Node) Node        { return El("div", nodes...) }
func Dl(nodes ...Node) Node         { return El("dl", nodes...) }
func Dt(nodes ...Node) Node         { return El("dt", nodes...) }
func FigCaption(nodes ...Node) Node { return El("figcaption", nodes...) }
func Figure(nodes ...Node) Node     { return El("figure", nodes...) }
func Form(nodes ...Node) Node       { return El("form", nodes...) }
func H1(nodes ...Node) Node         { return El("h1", nodes...) }
func H2(nodes ...Node) Node         { return El("h2", nodes...) }
func H3(nodes ...Node) Node         { return El("h3", nodes...) }
func HTML(nodes ...Node) Node       { return El("html", nodes...) }
func Head(nodes ...Node) Node       { return El("head", nodes...) }
func Header(nodes ...Node) Node     { return El("header", nodes...) }
func Input(nodes ...Node) Node      { return El("input", nodes...) }
func Kbd(nodes ...Node) Node        { return El("kbd", nodes...) }
func Label(nodes ...Node) Node      { return El("label", nodes...) }
func Li(nodes ...Node) Node         { return El("li", nodes...) }
func Link(nodes ...Node) Node       { return El("link", nodes...) }
func Main(nodes ...Node) Node       { return El("main", nodes...) }
func Meta(nodes ...Node) Node       { return El("meta", nodes...) }
func Nav(nodes ...Node) Node        { return El("nav", nodes...) }
func Option(nodes ...Node) Node     { return El("option", nodes...) }
func P(nodes ...Node) Node          { return El("p", nodes...) }
func Pre(nodes ...Node) Node        { return El("pre", nodes...) }
func Script(nodes ...Node) Node     { return El("script", nodes...) }
func Section(nodes ...Node) Node    { return El("section", nodes...) }
func Span(nodes ...Node) Node       { return El("span", nodes...) }
func Strong(nodes ...Node) Node     { return El("strong", nodes...) }
func Summary(nodes ...Node) Node    { return El("summary", nodes...) }
func TBody(nodes ...Node) Node      { return El("tbody", nodes...) }
func THead(nodes ...Node) Node      { return El("thead", nodes...) }
func Table(nodes ...Node) Node      { return El("table", nodes...) }
func Td(nodes ...Node) Node         { return El("td", nodes...) }
func Th(nodes ...Node) Node         { return El("th", nodes...) }
func TitleEl(nodes ...Node) Node    { return El("title", nodes...) }
func Tr(nodes ...Node) Node         { return El("tr", nodes...) }
func Ul(nodes ...Node) Node         { return El("ul", nodes...) }

// Their attributes.

func AutoComplete(value string) Node { return Attr("autocomplete", value) }
func Charset(value string) Node      { return Attr("charset", value) }
func Class(value string) Node        { return Attr("class", value) }
func Content(value string) Node      { return Attr("content", value) }
func For(value string) Node          { return Attr("for", value) }
func Height(value string) Node       { return Attr("height", value) }
func ID(value string) Node           { return Attr("id", value) }
func Lang(value string) Node         { return Attr("lang", value) }
func Method(value string) Node       { return Attr("method", value) }
func Name(value string) Node         { return Attr("name", value) }
func Placeholder(value string) Node  { return Attr("placeholder", value) }
func Rel(value string) Node          { return Attr("rel", value) }
func Role(value string) Node         { return Attr("role", value) }
func TabIndex(value string) Node     { return Attr("tabindex", value) }
func Title(value string) Node        { return Attr("title", value) }
func Type(value string) Node         { return Attr("type", value) }
func Value(value string) Node        { return Attr("value", value) }
func Width(value string) Node        { return Attr("width", value) }

// Attributes whose names are made of two.

func Aria(name, value string) Node { return Attr("aria-"+name, value) }
func Data(name, value string) Node { return Attr("data-"+name, value) }

// Attributes that lead somewhere.

func Href(url string) Node   { return local("href", url) }
func Src(url string) Node    { return local("src", url) }
func Action(url string) Node { return local("action", url) }

// Attributes without a value.

func AutoFocus() Node { return Flag("autofocus") }
func Required() Node  { return Flag("required") }
func Hidden() Node    { return Flag("hidden") }
func Open() Node      { return Flag("open") }
