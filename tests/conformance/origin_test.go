package conformance_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// originCase is a post with headers that a browser sets, and its status. HOST
// stands for the address of the host, such as 127.0.0.1:8001.
type originCase struct {
	headers string // "Name: value" and a newline each
	status  int
}

func (c originCase) request(host *harness.Process) harness.Request {
	address := strings.TrimPrefix(host.URL, "http://")
	r := harness.Request{Path: "/-/secrets/EXAMPLE_SECRET", Body: "secret=x&note=", Header: map[string]string{}}
	for line := range strings.Lines(strings.ReplaceAll(c.headers, "HOST", address)) {
		name, value, _ := strings.Cut(line, ":")
		r.Header[name] = strings.TrimSpace(value)
	}
	if r.Header["Authorization"] == "" {
		r.Cookie = "ds_actor=" + rootCookie
	}
	return r
}

func (c originCase) check(t *testing.T, host *harness.Process) {
	t.Helper()
	r := host.Do(t, c.request(host))
	if r.StatusCode != c.status {
		t.Errorf("%q: status %d, want %d\n%s", c.headers, r.StatusCode, c.status, r.Text)
	}
	isOriginPage := strings.Contains(r.Text, "Form origin check failed")
	if want := c.status == http.StatusForbidden; isOriginPage != want {
		t.Errorf("%q: the page of the origin check is shown: %t", c.headers, isOriginPage)
	}
}

func Test18Origin(t *testing.T) {
	t.Parallel()
	const yes, no = http.StatusFound, http.StatusForbidden
	plain := start(t, "--root")
	for _, c := range []originCase{
		{"", yes},
		{"Sec-Fetch-Site: same-origin", yes},
		{"Sec-Fetch-Site: none", yes},
		{"Sec-Fetch-Site: same-site", no},
		{"Sec-Fetch-Site: cross-site", no},
		{"Sec-Fetch-Site: Same-Origin", no},
		{"Sec-Fetch-Site: ", yes},
		{"Sec-Fetch-Site: same-origin\nOrigin: http://evil.example", yes},
		{"Sec-Fetch-Site: cross-site\nOrigin: http://HOST", no},
		{"Sec-Fetch-Site: \nOrigin: http://evil.example", no},
		{"Origin: http://HOST", yes},
		{"Origin: http://HOST/path", yes},
		{"Origin: https://HOST", no},
		{"Origin: http://evil.example", no},
		{"Origin: http://HOST.evil.example", no},
		{"Origin: null", no},
		{"Origin: http://127.0.0.1", no},
		{"Origin: http://127.0.0.1:99999", no},
		{"Origin: http://", no},
		{"Origin: ", yes},
		{"Host: example.com:80\nOrigin: http://EXAMPLE.com", yes},
		{"Host: Example.com\nOrigin: http://example.com:80", yes},
		{"Host: [::1]:8123\nOrigin: http://[::1]:8123", yes},
		{"Host: example.com\nOrigin: https://example.com", no},
	} {
		c.check(t, plain)
	}
	secure := start(t, "--root", "-s", "force_https_urls", "on")
	for _, c := range []originCase{
		{"Host: example.com\nOrigin: https://example.com", yes},
		{"Host: example.com:443\nOrigin: https://example.com", yes},
		{"Host: example.com\nOrigin: http://example.com", no},
	} {
		c.check(t, secure)
	}
}

// Of a header that is sent twice the last one counts, and methods that change
// nothing are let through.
func Test18RepeatedHeadersAndOtherMethods(t *testing.T) {
	t.Parallel()
	host := start(t, "--root")
	for _, test := range []struct {
		method string
		sites  []string
		status int
	}{
		{http.MethodPost, []string{"cross-site", "same-origin"}, http.StatusFound},
		{http.MethodPost, []string{"same-origin", "cross-site"}, http.StatusForbidden},
		{http.MethodPut, []string{"cross-site"}, http.StatusForbidden},
		{http.MethodDelete, []string{"cross-site"}, http.StatusForbidden},
		{http.MethodPut, []string{"same-origin"}, http.StatusOK},
		{http.MethodDelete, nil, http.StatusOK},
		{http.MethodGet, []string{"cross-site"}, http.StatusOK},
		{http.MethodHead, []string{"cross-site"}, http.StatusOK},
		{http.MethodOptions, []string{"cross-site"}, http.StatusOK},
	} {
		body := strings.NewReader("secret=x")
		request, err := http.NewRequestWithContext(t.Context(), test.method, host.URL+"/-/secrets/EXAMPLE_SECRET", body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Cookie", "ds_actor="+rootCookie)
		request.Header["Sec-Fetch-Site"] = test.sites
		answer, err := new(http.Transport).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != test.status {
			t.Errorf("%s with Sec-Fetch-Site %q: status %d, want %d", test.method, test.sites, answer.StatusCode, test.status)
		}
	}
}

func Test19BearerAndToken(t *testing.T) {
	t.Parallel()
	host := start(t, "--root")
	token := "dstok_" + sign(t, "token", map[string]any{"a": "root", "t": time.Now().Unix()})
	const crossSite = "Sec-Fetch-Site: cross-site\n"
	originCase{crossSite + "Authorization: Bearer " + token, http.StatusFound}.check(t, host)
	originCase{crossSite + "Authorization: bearer " + token, http.StatusForbidden}.checkDenied(t, host)
	originCase{crossSite + "Authorization: Bearer x", http.StatusForbidden}.checkDenied(t, host)
	originCase{crossSite + "Authorization: Bearer dstok_x", http.StatusUnauthorized}.check(t, host)
	originCase{crossSite + "Authorization: Bearer " + token + "\nCookie: a=b", http.StatusForbidden}.check(t, host)
	originCase{crossSite + "Authorization: Basic eDp5", http.StatusForbidden}.check(t, host)
}

// checkDenied is for a request that passes the check, by somebody who may not
// do what it asks.
func (c originCase) checkDenied(t *testing.T, host *harness.Process) {
	t.Helper()
	r := host.Do(t, c.request(host))
	wantStatus(t, r, http.StatusForbidden)
	wantText(t, r, "Permission denied")
}

// Clients of older Datasettes send a token that is not asked for any more.
func Test19CSRFTokenIsIgnored(t *testing.T) {
	t.Parallel()
	host := start(t, "--root")
	for _, body := range []string{"secret=x&csrftoken=whatever", "secret=x&csrftoken=", "csrftoken=a&secret=x&csrftoken=b"} {
		r := host.Do(t, harness.Request{Path: "/-/secrets/EXAMPLE_SECRET", Body: body, Cookie: "ds_csrftoken=other; ds_actor=" + rootCookie})
		wantRedirect(t, r, "/-/secrets")
	}
}

func Test20OriginPage(t *testing.T) {
	t.Parallel()
	host := start(t, "--root")
	for headers, reason := range map[string]string{
		"Sec-Fetch-Site: cross-site":       "Reason: Sec-Fetch-Site was &#39;cross-site&#39;, expected &#39;same-origin&#39; or &#39;none&#39;",
		"Origin: http://evil.example":      "Reason: Origin &#39;http://evil.example&#39; does not match Host &#39;HOST&#39;",
		"Origin: null":                     "Reason: Malformed Origin &#39;null&#39; or Host &#39;HOST&#39;",
		"Sec-Fetch-Site: <script>'\"&<b>":  `Reason: Sec-Fetch-Site was &#39;&lt;script&gt;\&#39;&#34;&amp;&lt;b&gt;&#39;, expected`,
		"Origin: http://HOST:x":            "Reason: Malformed Origin &#39;http://HOST:x&#39; or Host &#39;HOST&#39;",
		"Origin: http://a\nHost: b.c:1234": "Reason: Origin &#39;http://a&#39; does not match Host &#39;b.c:1234&#39;",
	} {
		request := originCase{headers: headers}.request(host)
		request.Header["Accept"] = "application/json"
		r := host.Do(t, request)
		wantStatus(t, r, http.StatusForbidden)
		wantText(t, r, strings.ReplaceAll(reason, "HOST", strings.TrimPrefix(host.URL, "http://")),
			"<title>CSRF check failed</title>", "<h1>Form origin check failed</h1>", "<details>")
		// It knows nothing of the request, and is a page for every client.
		wantNoText(t, r, "<strong>root</strong>", "Manage secrets")
		if got := r.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
			t.Errorf("Content-Type %q", got)
		}
	}
}
