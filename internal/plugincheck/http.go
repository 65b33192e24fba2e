package plugincheck

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
	"github.com/datasette-secrets/datasette-secrets/internal/pluginwire"
)

// maxPage is how much of a page is read.
const maxPage = 1 << 20 // bytes

// checkHTTP asks for a page as the host and as others.
func checkHTTP(ctx context.Context, k *kit) verdict {
	return during(ctx, k.ready, func(l *launch) verdict {
		if !l.offers(pluginpb.Http_ServiceDesc) {
			return notOffered("Http")
		}
		pages := pages{launch: l, address: filepath.Join(l.sockets, "http.sock"), key: []byte(rand.Text() + rand.Text())}
		_, err := pluginpb.NewHttpClient(l.conn).Listen(ctx, &pluginpb.ListenRequest{Address: pages.address, Key: pages.key, Prefix: "/-/plugins/" + k.name()})
		if err != nil {
			return failure(l.explain("Listen", err))
		}
		if info, err := os.Lstat(pages.address); err != nil || info.Mode().Type() != os.ModeSocket {
			return failed("after Listen there is no socket at the address that it was given", "listen before Listen answers")
		}
		for _, c := range pages.visitors() {
			status, err := pages.get(ctx, c.header)
			if err != nil {
				return failed("a request "+c.name+" was not answered", "serve HTTP/1.1 on the socket; see what it logged")
			}
			refused := status == http.StatusUnauthorized || status == http.StatusForbidden
			if c.refused && !refused {
				return failed(fmt.Sprintf("it answers a request %s with %d", c.name, status), "refuse a request whose header "+pluginwire.HandoverHeader+" does not prove that it is the host's, with 401 or 403")
			}
			if !c.refused && refused {
				return failed(fmt.Sprintf("it refuses its host's own request with %d", status), "compare the header "+pluginwire.HandoverHeader+" with what the key of Listen makes of it")
			}
		}
		return passed()
	})
}

// pages are what a program serves over HTTP.
type pages struct {
	launch  *launch
	address string
	key     []byte
}

// visitor is somebody who asks for a page.
type visitor struct {
	name    string
	header  string
	refused bool // whether that is what must become of it
}

func (p pages) visitors() []visitor {
	later, before := time.Now().Add(time.Minute), time.Now().Add(-time.Minute)
	good := p.sign(p.key, "/", later)
	return []visitor{
		{"of its host", good, false},
		{"without the header " + pluginwire.HandoverHeader, "", true},
		{"with a header that is nonsense", "nonsense", true},
		{"with another key", p.sign([]byte("another key"), "/", later), true},
		{"with no key", p.sign(nil, "/", later), true},
		{"that has expired", p.sign(p.key, "/", before), true},
		{"for another page", p.sign(p.key, "/another", later), true},
		{"with a changed signature", otherSignature(good), true},
	}
}

// sign makes the header of a request for a page.
func (p pages) sign(key []byte, path string, expires time.Time) string {
	header, err := pluginwire.Handover{
		Actor: secrets.NewActor(somebody), Token: noToken, Method: http.MethodGet, Path: path, Expires: expires,
	}.Sign(key)
	if err != nil {
		return "" // only for an actor that is too large
	}
	return header
}

// otherSignature changes the first letter of a header's signature.
func otherSignature(header string) string {
	payload, mac, _ := strings.Cut(header, ".")
	letter := "A"
	if strings.HasPrefix(mac, letter) {
		letter = "B"
	}
	return payload + "." + letter + mac[1:]
}

// get asks for the first page and returns the status of the answer.
func (p pages) get(ctx context.Context, header string) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.launch.kit.limit(callTime))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/", nil)
	if err != nil {
		return 0, err
	}
	if header != "" {
		request.Header.Set(pluginwire.HandoverHeader, header)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", p.address)
	}}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, maxPage)); err != nil {
		return 0, err
	}
	return response.StatusCode, nil
}
