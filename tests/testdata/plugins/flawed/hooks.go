package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
)

// socket is the path of the plugin's own socket.
func (p *flawed) socket() string {
	found, _ := filepath.Glob(filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "plugin*"))
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// TestSecret implements pluginpb.ValidatorServer.
func (p *flawed) TestSecret(_ context.Context, r *pluginpb.TestSecretRequest) (*pluginpb.TestSecretResponse, error) {
	switch p.flaw {
	case "validator":
		return nil, status.Error(codes.Unavailable, "no network")
	case "validator-lines":
		return &pluginpb.TestSecretResponse{Message: "no\nnetwork"}, nil
	case "secrecy-message":
		return &pluginpb.TestSecretResponse{Message: "the service does not know " + string(r.GetValue())}, nil
	}
	return &pluginpb.TestSecretResponse{Message: "The service cannot be reached."}, nil
}

// MenuLinks implements pluginpb.MenuServer.
func (p *flawed) MenuLinks(context.Context, *pluginpb.MenuLinksRequest) (*pluginpb.MenuLinksResponse, error) {
	link := &pluginpb.MenuLink{Href: "/-/plugins/flawed/", Label: "Flawed"}
	switch p.flaw {
	case "menu":
		link.Href = "javascript:alert(1)"
	case "menu-elsewhere":
		link.Href = "//example.com/"
	case "menu-label":
		link.Label = " "
	}
	return &pluginpb.MenuLinksResponse{Links: []*pluginpb.MenuLink{link}}, nil
}

// ActorsFromIDs implements pluginpb.ActorsServer.
func (p *flawed) ActorsFromIDs(_ context.Context, r *pluginpb.ActorsFromIDsRequest) (*pluginpb.ActorsFromIDsResponse, error) {
	actors := map[string][]byte{}
	for _, id := range r.GetIds() {
		if id == "alice" {
			actors[id] = []byte(`{"id": "alice", "name": "Alice"}`)
		}
		if p.flaw == "actors" {
			actors[id] = []byte(`null`)
		}
	}
	return &pluginpb.ActorsFromIDsResponse{Actors: actors}, nil
}

// ActorFromRequest implements pluginpb.AuthenticatorServer.
func (p *flawed) ActorFromRequest(_ context.Context, r *pluginpb.ActorFromRequestRequest) (*pluginpb.ActorFromRequestResponse, error) {
	if p.flaw == "authenticator" || r.GetHeaders()["authorization"] == "Bearer let me in" {
		return &pluginpb.ActorFromRequestResponse{ActorJson: []byte(`{"id": "alice"}`)}, nil
	}
	return &pluginpb.ActorFromRequestResponse{}, nil
}

// Listen implements pluginpb.HttpServer.
func (p *flawed) Listen(_ context.Context, r *pluginpb.ListenRequest) (*pluginpb.ListenResponse, error) {
	address := r.GetAddress()
	switch p.flaw {
	case "http-elsewhere":
		address = filepath.Join(os.Getenv("HOME"), "s")
	case "http-error":
		return nil, status.Error(codes.Internal, "no")
	}
	listener, err := net.Listen("unix", address)
	if err != nil {
		return nil, err
	}
	handler := func(w http.ResponseWriter, request *http.Request) {
		if p.flaw == "http-hangs" {
			forever()
		}
		if !p.fromHost(r.GetKey(), request) {
			w.WriteHeader(http.StatusForbidden)
		}
	}
	go func() { _ = http.Serve(listener, http.HandlerFunc(handler)) }()
	return &pluginpb.ListenResponse{}, nil
}

// fromHost tells whether a request proves that it is the host's.
func (p *flawed) fromHost(key []byte, request *http.Request) bool {
	payload, mac, _ := strings.Cut(request.Header.Get("Datasette-Secrets-Actor"), ".")
	expected := hmac.New(sha256.New, key)
	expected.Write([]byte(payload))
	given, err := base64.RawURLEncoding.DecodeString(mac)
	var claims struct {
		Method, Path string
		Expires      int64
	}
	data, _ := base64.RawURLEncoding.DecodeString(payload)
	decoded := json.Unmarshal(data, &claims) == nil
	signed := err == nil && hmac.Equal(given, expected.Sum(nil))
	fresh := claims.Expires > time.Now().Unix()
	meant := claims.Method == request.Method && claims.Path == request.URL.RequestURI()
	switch p.flaw {
	case "http":
		return true
	case "http-unsigned":
		return decoded && fresh && meant
	case "http-expired":
		return decoded && signed && meant
	case "http-path":
		return decoded && signed && fresh
	case "http-host":
		return false
	}
	return decoded && signed && fresh && meant
}
