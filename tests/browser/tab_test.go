package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// patience bounds what a test waits for.
const patience = 60 * time.Second

// tab is a window of the browser, in a profile of its own.
type tab struct {
	t     *testing.T
	ctx   context.Context
	host  *harness.Process
	width int64

	mutex      sync.Mutex
	complaints []string // of the browser
}

// open opens a window to look at a host. At the end of the test the browser
// must have had no complaint.
func open(t *testing.T, host *harness.Process) *tab {
	t.Helper()
	b := openUnheard(t, host)
	t.Cleanup(func() {
		for _, complaint := range b.heard() {
			t.Errorf("the browser complains: %s", complaint)
		}
	})
	return b
}

// openUnheard is open for a test in which the browser has reason to complain.
func openUnheard(t *testing.T, host *harness.Process) *tab {
	t.Helper()
	b := &tab{t: t, host: host}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.listen))
	t.Cleanup(cancel)
	b.ctx = ctx
	b.do(
		call(audits.Enable, cdp.Empty{}),
		// Windows that are not in front of all others have the focus too.
		call(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}),
	)
	b.look(desk, light)
	return b
}

// call makes a step of a command of the protocol.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, command, params)
		return err
	})
}

// listen collects complaints. That a page answers with an error is not one:
// tests ask for such pages.
func (b *tab) listen(event any) {
	switch event := event.(type) {
	case *log.EventEntryAdded:
		if e := event.Entry; !(e.Source == log.EntrySourceNetwork && strings.Contains(e.Text, "status of ")) {
			b.complain("%s %s: %s (%s)", e.Source, e.Level, e.Text, e.URL)
		}
	case *runtime.EventExceptionThrown:
		b.complain("exception: %s", event.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.complain("console: %s", event.Type)
	case *audits.EventIssueAdded:
		details, _ := json.Marshal(event.Issue.Details)
		b.complain("issue: %s %s", event.Issue.Code, details)
	case *page.EventJavascriptDialogOpening:
		b.complain("dialog: %s", event.Message)
	}
}

func (b *tab) complain(format string, args ...any) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.complaints = append(b.complaints, fmt.Sprintf(format, args...))
}

// heard returns the complaints so far, and forgets them.
func (b *tab) heard() []string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	heard := b.complaints
	b.complaints = nil
	return heard
}

// do takes steps that must succeed.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := b.patient()
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%v\n%s", err, b.where())
	}
}

// follow takes steps that lead to another page, and returns its response.
func (b *tab) follow(steps ...chromedp.Action[chromedp.Void]) *network.Response {
	b.t.Helper()
	ctx, cancel := b.patient()
	defer cancel()
	response, err := chromedp.RunResponse(ctx, steps...)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.where())
	}
	return response
}

// patient is the context of a step. The first one of a tab must not have a
// deadline, which would be that of the tab.
func (b *tab) patient() (context.Context, context.CancelFunc) {
	if chromedp.FromContext(b.ctx).Target == nil {
		return b.ctx, func() {}
	}
	return context.WithTimeout(b.ctx, patience)
}

// visit goes to a page of the host.
func (b *tab) visit(path string) *network.Response {
	b.t.Helper()
	return b.follow(chromedp.Navigate(b.host.URL + path))
}

// back goes back in the history. Chromium may load the page again, or bring
// back the one that it kept.
func (b *tab) back() {
	b.t.Helper()
	ctx, cancel := b.patient()
	defer cancel()
	history, err := chromedp.Run(ctx, chromedp.NavigationEntries())
	if err != nil || history.CurrentIndex < 1 {
		b.t.Fatalf("there is no way back: %v", err)
	}
	to := history.Entries[history.CurrentIndex-1].ID
	top := func(event page.EventFrameNavigated) bool { return event.Frame.ParentID == "" }
	_, err = chromedp.Run(ctx, chromedp.WaitEvent(page.FrameNavigated, top,
		call(page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: to})))
	if err != nil {
		b.t.Fatalf("going back: %v", err)
	}
	b.until(`document.readyState === "complete"`)
}

// eval evaluates an expression in the page of a tab.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := b.patient()
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("evaluating %.100s: %v", expression, err)
	}
	return value
}

// until waits for an expression to become true, on whatever page there is by
// then.
func (b *tab) until(expression string) {
	b.t.Helper()
	ctx, cancel := b.patient()
	defer cancel()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		if is && err == nil {
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("waiting for %s: %v\n%s", expression, err, b.where())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// text is what the page says.
func (b *tab) text() string {
	b.t.Helper()
	return eval[string](b, "document.body.innerText")
}

// where describes the page for a failure.
func (b *tab) where() string {
	ctx, cancel := context.WithTimeout(b.ctx, time.Second)
	defer cancel()
	where, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
	return "at " + where
}

// shows checks that the page says something.
func (b *tab) shows(texts ...string) {
	b.t.Helper()
	page := b.text()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			b.t.Fatalf("the page does not say %q:\n%s", text, b.where())
		}
	}
}

// signIn makes somebody signed in, as if they came from Datasette.
func (b *tab) signIn(actor secrets.Actor) {
	b.t.Helper()
	yes := true
	b.do(call(network.SetCookie, network.SetCookieParams{
		Name: "ds_actor", Value: harness.ActorCookie(b.t, actor), URL: b.host.URL + "/",
		HTTPOnly: &yes, SameSite: network.CookieSameSiteLax,
	}))
}

// A screen and a scheme of colours are how somebody looks at a page.
type (
	screen struct{ width, height int64 }
	scheme string
)

var (
	desk  = screen{1280, 800}
	phone = screen{390, 844}
	// tablet is just wide enough for tables that are tables.
	tablet = screen{768, 1024}
	// narrow is what a desk shows at a zoom of 400 %.
	narrow = screen{320, 256}
)

const (
	light scheme = "light"
	dark  scheme = "dark"
)

// look changes how the page is looked at.
func (b *tab) look(s screen, c scheme) {
	b.t.Helper()
	b.width = s.width
	b.do(
		call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: s.width, Height: s.height, DeviceScaleFactor: 1, Mobile: s == phone,
		}),
		call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: string(c)},
			// Without it colours would still be changing when they are looked at.
			{Name: "prefers-reduced-motion", Value: "reduce"},
		}}),
	)
}
