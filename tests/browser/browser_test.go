// Package browser_test uses the host as people do: with Debian's Chromium, by
// mouse, by keyboard and without JavaScript. It looks at every page in light
// and dark, on a desk and on a phone: for what axe-core calls an obstacle, for
// anything that the browser complains about, and for values of secrets. A run of
// some of them (-run) writes screenshots to build/screenshots for people to look at.
//
// All tests share one Chromium. Each has a profile of its own in it, so that
// none is signed in by another.
package browser_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/chromedp"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

const chromium = "/usr/bin/chromium"

// browser is the context of the shared Chromium.
var browser context.Context

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	defer harness.Clean()
	profile, err := os.MkdirTemp("", "browser")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(profile)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), chromiumOptions(profile)...)
	defer cancel()
	browser, cancel = chromedp.NewContext(allocator)
	defer cancel()
	if err := chromedp.Do(browser); err != nil {
		fmt.Fprintf(os.Stderr, "starting %s: %v; to install what the tests need, run: make test-setup\n", chromium, err)
		return 1
	}
	defer chromedp.Cancel(browser) // waits until it has gone, and its files with it
	return m.Run()
}

func chromiumOptions(profile string) []chromedp.ExecAllocatorOption {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium),
		chromedp.UserDataDir(profile),
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("hide-scrollbars", false),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	return options
}

func root() secrets.Actor { return secrets.NewActor("root") }
