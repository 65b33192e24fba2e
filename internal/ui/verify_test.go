package ui_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestVerifyLogOnThePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	w.set("ONE", "1", "")
	root := w.as("root")
	const verify = "/-/secrets/-/log/verify"
	w.get("/-/secrets/log", root).want(t, 200, "None was signed yet.", "Not since this host started.", `action="`+verify+`"`)
	signed, err := w.vault.SignHead(t.Context())
	ok(t, err)
	w.get("/-/secrets/log", root).want(t, 200, `entries, <time datetime="2026-07-14T10:11:12Z">2026-07-14 10:11:12 UTC</time>`, "<pre>"+strings.ReplaceAll(signed, "+", "&#43;"))
	a := w.post(verify, root)
	a.wantRedirect(t, "/-/secrets/-/log")
	if got := w.flash(a); len(got) != 1 || !strings.HasPrefix(got[0].Text, "The log is as it was written.") {
		t.Errorf("flash: %v", got)
	}
	w.get("/-/secrets/log", root).want(t, 200, "As it was written", "by root")
	w.get(verify, root).wantRedirect(t, "/-/secrets/-/log")

	w.run("update datasette_secrets_log set actor_id = 'nobody' where id = 2")
	b := w.post(verify, root)
	if got := w.flash(b); len(got) != 1 || got[0].Type != 3 {
		t.Errorf("flash: %v", got)
	}
	w.get("/-/secrets/log", root).want(t, 200, "The log is not as it was written", "<li>entry 2: it was edited")
	if !strings.Contains(w.log.String(), "entry 2") {
		t.Errorf("the log of the host is %s", w.log.String())
	}
	w.run("update datasette_secrets_log_heads set signed = 'forged'")
	w.get("/-/secrets/log", root).want(t, 200, "The newest signed head of the log is not what this host wrote")

	for _, who := range []string{"bob", ""} {
		w.post(verify, w.as(who)).want(t, 403)
	}
	w.post(verify, func(r *http.Request) { root(r); r.Header.Set("Sec-Fetch-Site", "cross-site") }).want(t, 403)
}

// However many ask, one verification runs at a time, and all get an answer.
func TestOneVerificationAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, demo)
	w.logged(entries(3000)...)
	var group sync.WaitGroup
	var mu sync.Mutex
	said := map[string]int{}
	for range 8 {
		group.Go(func() {
			for _, m := range w.flash(w.post("/-/secrets/-/log/verify", w.as("root"))) {
				mu.Lock()
				said[strings.Fields(m.Text)[3]]++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if said["as"]+said["being"] != 8 || said["as"] == 0 {
		t.Errorf("the answers: %v", said)
	}
}
