package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// pages are one of each kind.
var pages = []string{
	"/", "/calls", "/calls/" + id(kindCall, 101), "/calls/" + id(kindCall, 3), "/calls/" + id(kindCall, 102), "/calls/" + id(kindHostile, 1), "/sessions", "/sessions/agent:main:telegram:direct:4711",
	"/errors", "/errors?show=error." + id(kindError, 1), "/logs", "/logs?show=event." + id(kindEvent, 1), "/system", "/push", "/calls?q=nothing+like+it", gone,
}

// gone is the page of a call that is not there.
var gone = "/calls/" + id(kindCall, 999)

// Every page opens without an error or a violation of its policy, is what its title
// says, does not scroll sideways on a telephone, and keeps nothing from anybody.
func TestPages(t *testing.T) {
	s := start(t, "")
	s.evening()
	for _, path := range pages {
		t.Run(path, func(t *testing.T) {
			b := s.tab(t)
			b.open(path)
			b.is(`document.querySelectorAll("h1").length === 1`)
			b.is(`document.title.includes("openclaw-trace")`)
			b.until(`document.readyState === "complete"`)
			for _, width := range []int64{390, 820} {
				b.size(width, 844)
				b.is(fmt.Sprintf(`document.documentElement.scrollWidth <= %d`, width))
			}
			if path == gone {
				b.forgive()
			}
		})
	}
}

func TestAccessible(t *testing.T) {
	s := start(t, "")
	s.evening()
	source := withAxe(t)
	b := s.tab(t)
	for _, theme := range []string{"light", "dark"} {
		b.prefer(theme)
		for _, path := range pages[:len(pages)-1] {
			b.open(path)
			js[bool](b, `document.querySelectorAll("details").forEach((d) => { d.open = true }), true`)
			b.accessible(source, path+" "+theme)
		}
	}
	b.prefer("light")
	b.size(390, 844)
	for _, path := range pages[:4] {
		b.open(path)
		b.accessible(source, path+" on a telephone")
	}
	b.keys("?")
	b.accessible(source, "the list of keys")
}

// Text that would be a script anywhere else is text.
func TestNothingStoredRuns(t *testing.T) {
	s := start(t, "")
	s.evening()
	b := s.tab(t)
	paths := append([]string{}, pages[:len(pages)-1]...)
	for n := range script {
		paths = append(paths, "/calls/"+id(kindHostile, n), "/calls/"+id(kindHostile, 100+n)+"?whole=1", "/calls/"+id(kindHostile, 100+n)+"?part=input", "/errors?show=error."+id(kindHostile, 200+n), "/logs?show=event."+id(kindHostile, 300+n))
	}
	for _, path := range paths {
		b.open(path)
		b.is(`window.ran === undefined && ({}).polluted === undefined`)
		if js[string](b, "location.origin") != s.url {
			t.Errorf("%s leads away: %s", path, js[string](b, "location.href"))
		}
		b.is(`document.querySelectorAll("iframe, object, embed, base, img, main script, main link, main meta").length === 0`)
		if t.Failed() {
			t.Fatal(path)
		}
	}
	// What arrives later is taken over from a page, too.
	b.open("/calls")
	b.until(`document.querySelector("#live")?.innerText === "Live"`)
	s.call(strings.Join(script, " "))
	b.until(`document.querySelector("#list").innerText.includes("window.ran=1;alert(1)")`)
	b.is(`window.ran === undefined`)
}

const rows = `[...document.querySelectorAll("#list tbody tr")]`

// A page stays current, until it is told not to.
func TestLive(t *testing.T) {
	s := start(t, "")
	s.evening()
	b := s.tab(t)
	b.open("/calls")
	b.until(`!document.querySelector("#live").hidden`)
	s.call("A first call, live.")
	b.until(rows + `[0].innerText.includes("A first call, live.")`)

	b.keys("p")
	b.until(`document.querySelector("#live").innerText === "Paused"`)
	s.call("A second call, unseen.")
	b.until(`/^Paused, [12] new$/.test(document.querySelector("#live").innerText)`) // the news of the first may come after itself
	b.is(`!document.body.innerText.includes("A second call, unseen.")`)
	b.is(`document.querySelector("#live").ariaPressed === "false"`)

	b.click("#live")
	b.until(rows + `[0].innerText.includes("A second call, unseen.")`)
	b.is(`document.querySelector("#live").innerText === "Live"`)

	// What somebody reads does not move under their eyes: the focus stays on its row.
	b.keys("j")
	b.keys("j")
	href := js[string](b, `document.activeElement.getAttribute("href")`)
	s.call("A third call.")
	b.until(rows + `[0].innerText.includes("A third call.")`)
	if got := js[string](b, `document.activeElement.getAttribute("href")`); got != href || href == "" {
		t.Errorf("the focus went from %q to %q", href, got)
	}
}

// Who has nothing stored yet is told what to send, and sees it arrive.
func TestFirstCall(t *testing.T) {
	s := start(t, "")
	b := s.tab(t)
	b.open("/calls")
	if got := b.text("#empty"); !strings.Contains(got, "Waiting for the first call") || !strings.Contains(got, "curl "+s.url+"/v1/traces") {
		t.Errorf("the page does not say what to do: %s", got)
	}
	b.until(`!document.querySelector("#live").hidden`)
	s.call("Is anybody there?")
	b.until(`document.body.innerText.includes("Is anybody there?")`)
}

// The address is the state of a page, and what is typed or clicked changes it.
func TestFilters(t *testing.T) {
	s := start(t, "")
	s.evening()
	b := s.tab(t)
	b.open("/calls?zone=Europe%2FBerlin")
	b.press("/")
	b.is(`document.activeElement.getAttribute("aria-label") === "Filter" && document.activeElement.value === ""`)
	b.keys("status:failed model:gpt-5.2")
	b.keys("\r")
	b.until(`location.search.includes("status=failed") && location.search.includes("model=gpt-5.2") && location.search.includes("zone=Europe%2FBerlin")`)
	b.until(`document.readyState === "complete"`)
	b.is(rows + `.length > 2 && ` + rows + `.every((r) => r.classList.contains("failed") && r.innerText.includes("gpt-5.2"))`)
	b.is(`document.querySelector("[data-find=first]").value === "model:gpt-5.2 status:failed"`)

	b.click(`.presets li:first-child a`)
	b.until(`location.search.includes("since=1h") && location.search.includes("status=failed")`)
	b.until(`document.querySelector(".presets [aria-current]")?.innerText === "1h"`)
	js[bool](b, "history.back(), true")
	b.until(`!location.search.includes("since=1h") && document.querySelector(".presets [aria-current]")?.innerText === "24h"`)

	b.click(".filter .clear")
	b.until(`!location.search.includes("status")`)
	b.until(rows + `.length > 40`)

	b.open("/calls?line=status%3Anonsense")
	b.until(`document.querySelector("h1").innerText === "Not understood"`)
	b.forgive()
}

// Whatever can be clicked can be reached with keys.
func TestKeys(t *testing.T) {
	s := start(t, "")
	s.evening()
	b := s.tab(t)
	b.open("/calls")
	b.keys("j")
	b.is(`document.activeElement === ` + rows + `[0].querySelector("a.row")`)
	b.keys("j")
	b.keys("j")
	b.keys("k")
	b.is(`document.activeElement === ` + rows + `[1].querySelector("a.row")`)
	second := js[string](b, `document.activeElement.pathname`)
	b.keys("\r")
	b.until(fmt.Sprintf(`location.pathname === %q && document.readyState === "complete"`, second))
	b.keys("]")
	b.until(fmt.Sprintf(`location.pathname !== %q && document.readyState === "complete"`, second))
	b.keys("[")
	b.until(fmt.Sprintf(`location.pathname === %q && document.readyState === "complete"`, second))

	b.keys("?")
	b.until(`document.querySelector("#help").open`)
	b.keys("\x1b")
	b.until(`!document.querySelector("#help").open`)

	for key, path := range map[string]string{"e": "/errors", "o": "/", "y": "/system"} {
		b.keys("g" + key)
		b.until(fmt.Sprintf(`location.pathname === %q && document.readyState === "complete"`, path))
	}

	// A chart is read point by point.
	b.open("/")
	b.until(`document.querySelector("#cost-chart .plane, .chart .plane")?.getAttribute("tabindex") === "0"`)
	js[bool](b, `document.querySelector(".chart .plane").focus(), true`)
	b.do(chromedp.KeyEvent("\u0302")) // left
	b.until(`document.querySelector(".readout:not([hidden])")`)
}

// Dark is what the system says, or what was chosen, and stays so.
func TestDark(t *testing.T) {
	s := start(t, "")
	s.evening()
	const dark = `(([r, g, b]) => r + g + b < 120)(getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number))`
	b := s.tab(t)
	b.prefer("dark")
	b.open("/")
	b.is(dark)
	b.prefer("light")
	b.is("!" + dark)
	b.keys("t")
	b.until(dark)
	b.open("/calls")
	b.is(dark)
	b.click("#theme")
	b.until("!" + dark)
}

// Without a script, a page is whole, and what changes it is a form or a link.
func TestWithoutScript(t *testing.T) {
	s := start(t, "")
	s.evening()
	with, without := s.tab(t), s.tab(t)
	without.scripts(false)
	for _, path := range []string{"/", "/calls", "/calls/" + id(kindCall, 101), "/sessions", "/errors", "/push"} {
		const links = `[...document.querySelectorAll("main a")].length`
		for tries := 1; ; tries++ { // the host is measured meanwhile, which may be the first time
			with.open(path)
			without.open(path)
			a, b := js[int](with, links), js[int](without, links)
			if a == b && b > 0 {
				break
			}
			if tries == 5 {
				t.Fatalf("%s has %d links with scripts and %d without", path, a, b)
			}
		}
		without.is(`[...document.querySelectorAll(".tools button")].every((b) => b.hidden)`)
	}
	without.open("/calls?refresh=2")
	s.call("Seen without a script.")
	without.until(`document.body.innerText.includes("Seen without a script.")`)

	without.open("/calls")
	without.click("[data-find=first]")
	without.keys("status:timeout")
	without.click(".filter button")
	without.until(`location.search.includes("status=timeout") && document.readyState === "complete"`)
	without.is(rows + `.length > 2 && ` + rows + `.every((r) => r.innerText.includes("timeout"))`)
	without.click(rows0)
	without.until(`document.querySelector(".why")?.innerText.includes("no answer within 120 s")`)
}

const rows0 = "#list tbody a.row"

// With a token, the dashboard asks for it once, and no script of a page can see what the
// browser has instead.
func TestToken(t *testing.T) {
	const token = "a-token-of-the-house"
	s := start(t, "", "OCT_AUTH_TOKEN="+token)
	s.token = token
	s.call("Behind the door.")
	b := s.tab(t)
	b.open("/calls?since=7d")
	b.until(`location.pathname === "/login"`)
	b.is(`!document.body.innerText.includes("Behind the door.")`)
	b.is(`document.activeElement.id === "token"`)
	b.keys("a-wrong-one")
	b.keys("\r")
	b.until(`document.querySelector("[role=alert]")?.innerText.includes("wrong")`)
	b.forgive()
	b.keys(token)
	b.keys("\r")
	b.until(`location.pathname + location.search === "/calls?since=7d" && document.readyState === "complete"`)
	b.is(`document.body.innerText.includes("Behind the door.")`)
	b.is(`document.cookie === "" && !location.href.includes("token")`)
	b.until(`!document.querySelector("#live").hidden && !document.querySelector("#live").classList.contains("lost")`)
	s.call("Seen by who may.")
	b.until(`document.body.innerText.includes("Seen by who may.")`)
	b.size(390, 844)
	b.is(`document.documentElement.scrollWidth <= 390`)
	b.click(`[action="/logout"] button`)
	b.until(`location.pathname === "/login" && document.readyState === "complete"`)
	b.open("/calls")
	b.until(`location.pathname === "/login"`)
}

// On paper there is no navigation.
func TestPrint(t *testing.T) {
	s := start(t, "")
	s.evening()
	b := s.tab(t)
	b.open("/")
	b.set(emulation.SetEmulatedMediaParams{Media: "print"})
	b.is(`getComputedStyle(document.querySelector(".top")).display === "none"`)
}
