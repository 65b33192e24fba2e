package pluginwire_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

func TestReadBootstrapRefuses(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, input, want string }{
		{"nothing", "", "ended"},
		{"no newline", `{"version":1,"key":"hunter2"}`, "ended"},
		{"not JSON", "hunter2\n", "not the JSON"},
		{"wrong type", `{"version":1,"key":2}` + "\n", "not the JSON"},
		{"no version", `{"key":"hunter2"}` + "\n", "version 0"},
		{"a newer version", `{"version":2,"key":"hunter2"}` + "\n", "version 2"},
		{"too long", strings.Repeat("x", pluginwire.MaxBootstrap) + "\n", "too long"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := pluginwire.ReadBootstrap(strings.NewReader(c.input))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error with %q", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats the input: %v", err)
			}
		})
	}
}

func TestReadBootstrapIsBounded(t *testing.T) {
	t.Parallel()
	input := &countingReader{r: strings.NewReader(strings.Repeat("x", 1<<20))}
	if _, err := pluginwire.ReadBootstrap(input); err == nil {
		t.Fatal("a line without an end was accepted")
	}
	if input.n > pluginwire.MaxBootstrap {
		t.Errorf("read %d bytes", input.n)
	}
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestReadBootstrapLeavesUnknownFields(t *testing.T) {
	t.Parallel()
	_, err := pluginwire.ReadBootstrap(strings.NewReader(`{"version":1,"later":true}` + "\n"))
	if err != nil {
		t.Fatal(err)
	}
}

func TestPluginTLSRefuses(t *testing.T) {
	t.Parallel()
	good, other := newIdentity(t).Bootstrap(), newIdentity(t).Bootstrap()
	cases := map[string]pluginwire.Bootstrap{
		"empty":                   {},
		"the key of another pair": {Cert: good.Cert, Key: other.Key, HostCert: good.HostCert},
		"no host":                 {Cert: good.Cert, Key: good.Key},
		"two hosts":               {Cert: good.Cert, Key: good.Key, HostCert: good.HostCert + other.HostCert},
		"a key as the host":       {Cert: good.Cert, Key: good.Key, HostCert: good.Key.Reveal()},
	}
	for name, bootstrap := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := bootstrap.PluginTLS(); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func FuzzReadBootstrap(f *testing.F) {
	var line bytes.Buffer
	if err := pluginwire.WriteBootstrap(&line, newIdentity(f).Bootstrap()); err != nil {
		f.Fatal(err)
	}
	f.Add(line.Bytes())
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"version":1,"cert":"a","key":"b","host_cert":"c"}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		bootstrap, err := pluginwire.ReadBootstrap(bytes.NewReader(data))
		if err != nil {
			return
		}
		_, _ = bootstrap.PluginTLS() // must not panic
		var again bytes.Buffer
		if err := pluginwire.WriteBootstrap(&again, bootstrap); err != nil {
			return // escaping can make a line too long to be written
		}
		got, err := pluginwire.ReadBootstrap(&again)
		if err != nil {
			t.Fatalf("reading what was written: %v", err)
		}
		if got.Cert != bootstrap.Cert || got.Key.Reveal() != bootstrap.Key.Reveal() || got.HostCert != bootstrap.HostCert {
			t.Error("a bootstrap changed on its way")
		}
	})
}
