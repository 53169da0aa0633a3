package browser_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tab is one of a browser that has never been here: it has no cookies and has chosen
// no theme.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string

	mu       sync.Mutex
	problems []string
}

func (s *server) tab(t *testing.T) *tab {
	t.Helper()
	b := &tab{t: t, url: s.url}
	ctx, cancel := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.hear))
	t.Cleanup(cancel)
	b.ctx = ctx
	if err := chromedp.Do(ctx); err != nil { // opens it; it lives as long as this context
		t.Fatal(err)
	}
	t.Cleanup(b.check)
	b.size(1280, 900)
	return b
}

// hear notes what must not happen on any page.
func (b *tab) hear(ev any) {
	problem := ""
	switch ev := ev.(type) {
	case *page.EventJavascriptDialogOpening:
		problem = "a dialog opened: " + ev.Message
		go func() { _, _ = chromedp.Call(b.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{}) }() // else the page hangs
	case *runtime.EventExceptionThrown:
		problem = "an exception: " + ev.ExceptionDetails.Text
		if ev.ExceptionDetails.Exception != nil {
			problem += " " + ev.ExceptionDetails.Exception.Description
		}
	case *runtime.EventConsoleAPICalled:
		problem = fmt.Sprintf("console.%s was called", ev.Type)
	case *log.EventEntryAdded:
		if ev.Entry.Level == log.EntryLevelError || ev.Entry.Level == log.EntryLevelWarning {
			problem = fmt.Sprintf("on the console: %s (%s)", ev.Entry.Text, ev.Entry.URL)
		}
	}
	if problem == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, problem)
}

// check reports what was heard since it was called before.
func (b *tab) check() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.t.Error(p)
	}
	b.problems = nil
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// open goes to a page.
func (b *tab) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.url + path))
}

// js evaluates an expression. A page that is being left has no answer: the zero value.
func js[T any](b *tab, expression string) (value T) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if exception, ok := errors.AsType[*chromedp.ExceptionError](err); ok {
		b.t.Fatalf("%s: %v", expression, exception)
	}
	return value
}

// until waits for an expression to be true.
func (b *tab) until(expression string) {
	b.t.Helper()
	// A page that is still being read has not all of its elements.
	eventually(b.t, expression, func() bool {
		return js[bool](b, "(() => { try { return Boolean("+expression+"); } catch { return false; } })()")
	})
}

// is wants an expression to be true now.
func (b *tab) is(expression string) {
	b.t.Helper()
	if !js[bool](b, "Boolean("+expression+")") {
		b.t.Errorf("not so: %s", expression)
	}
}

// text is that of an element.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return strings.Join(strings.Fields(js[string](b, "document.querySelector("+strconv.Quote(selector)+")?.innerText ?? ''")), " ")
}

// keys types.
func (b *tab) keys(keys string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// press presses a key as a hand does: what its keydown prevents is not typed.
func (b *tab) press(key string) {
	b.t.Helper()
	for _, p := range []input.DispatchKeyEventParams{{Type: input.DispatchKeyEventTypeKeyDown, Key: key, Text: key}, {Type: input.DispatchKeyEventTypeKeyUp, Key: key}} {
		if _, err := chromedp.Call(b.ctx, input.DispatchKeyEvent, p); err != nil {
			b.t.Fatal(err)
		}
	}
}

// click clicks on the middle of an element, as a hand does.
func (b *tab) click(selector string) {
	b.t.Helper()
	at := js[[]float64](b, `(() => {
		const e = document.querySelector(`+strconv.Quote(selector)+`);
		if (!e) return [];
		e.scrollIntoView({block: "center"});
		const r = e.getClientRects()[0];
		return [r.x + r.width / 2, r.y + r.height / 2];
	})()`)
	if len(at) != 2 {
		b.t.Fatalf("there is no %s", selector)
	}
	b.do(chromedp.MouseClickXY(at[0], at[1]))
}

func (b *tab) size(width, height int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height))
}

// prefer sets the theme that the system asks for.
func (b *tab) prefer(theme string) {
	b.t.Helper()
	b.set(emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

func (b *tab) set(params emulation.SetEmulatedMediaParams) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, params); err != nil {
		b.t.Fatal(err)
	}
}

// scripts turns them off or on, for the pages that are opened next.
func (b *tab) scripts(on bool) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}); err != nil {
		b.t.Fatal(err)
	}
}

// forgive forgets what was heard: the console tells of every answer that is no page.
func (b *tab) forgive() {
	b.until(`document.readyState === "complete"`)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = nil
}
