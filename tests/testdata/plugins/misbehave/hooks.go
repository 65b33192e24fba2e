package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/datasette-secrets/datasette-secrets/internal/pluginpb"
)

// hooks are the optional services of a plugin. It advertises those that are
// not nil, but serves them all.
type hooks struct {
	test   func(ctx context.Context, value string) (*pluginpb.TestSecretResponse, error)
	links  func(ctx context.Context, actor *pluginpb.Actor) ([]*pluginpb.MenuLink, error)
	people func(ctx context.Context, ids []string) (map[string][]byte, error)
	sender func(ctx context.Context, r *pluginpb.ActorFromRequestRequest) ([]byte, error)
	listen func(ctx context.Context, r *pluginpb.ListenRequest) error
}

// services are the full names of those that are advertised.
func (h *hooks) services() []string {
	if h == nil {
		return nil
	}
	var all []string
	for service, offered := range map[string]bool{
		pluginpb.Validator_ServiceDesc.ServiceName:     h.test != nil,
		pluginpb.Menu_ServiceDesc.ServiceName:          h.links != nil,
		pluginpb.Actors_ServiceDesc.ServiceName:        h.people != nil,
		pluginpb.Authenticator_ServiceDesc.ServiceName: h.sender != nil,
		pluginpb.Http_ServiceDesc.ServiceName:          h.listen != nil,
	} {
		if offered {
			all = append(all, service)
		}
	}
	return all
}

// hookServer serves the hooks.
type hookServer struct {
	pluginpb.UnimplementedMenuServer
	pluginpb.UnimplementedActorsServer
	pluginpb.UnimplementedAuthenticatorServer
	pluginpb.UnimplementedHttpServer
	*hooks
}

func (h *hooks) register(server *grpc.Server) {
	if h == nil {
		h = &hooks{}
	}
	s := hookServer{hooks: h}
	pluginpb.RegisterMenuServer(server, s)
	pluginpb.RegisterActorsServer(server, s)
	pluginpb.RegisterAuthenticatorServer(server, s)
	pluginpb.RegisterHttpServer(server, s)
}

func (s hookServer) MenuLinks(ctx context.Context, r *pluginpb.MenuLinksRequest) (*pluginpb.MenuLinksResponse, error) {
	report("called MenuLinks")
	if s.links == nil {
		return &pluginpb.MenuLinksResponse{}, nil
	}
	links, err := s.links(ctx, r.GetActor())
	return &pluginpb.MenuLinksResponse{Links: links}, err
}

func (s hookServer) ActorsFromIDs(ctx context.Context, r *pluginpb.ActorsFromIDsRequest) (*pluginpb.ActorsFromIDsResponse, error) {
	report("called ActorsFromIDs with %d ids", len(r.GetIds()))
	if s.people == nil {
		return &pluginpb.ActorsFromIDsResponse{}, nil
	}
	people, err := s.people(ctx, r.GetIds())
	return &pluginpb.ActorsFromIDsResponse{Actors: people}, err
}

func (s hookServer) ActorFromRequest(ctx context.Context, r *pluginpb.ActorFromRequestRequest) (*pluginpb.ActorFromRequestResponse, error) {
	report("called ActorFromRequest")
	if s.sender == nil {
		return &pluginpb.ActorFromRequestResponse{}, nil
	}
	sender, err := s.sender(ctx, r)
	return &pluginpb.ActorFromRequestResponse{ActorJson: sender}, err
}

func (s hookServer) Listen(ctx context.Context, r *pluginpb.ListenRequest) (*pluginpb.ListenResponse, error) {
	report("called Listen for %s", r.GetPrefix())
	if s.listen == nil {
		return &pluginpb.ListenResponse{}, nil
	}
	return &pluginpb.ListenResponse{}, s.listen(ctx, r)
}

// hookBehaviours are the modes of a plugin with hooks.
func hookBehaviours() map[string]behaviour {
	return map[string]behaviour{
		"hooks":  {declares: secret("HEALTHY_KEY"), hooks: goodHooks("hooks")},
		"hooks2": {declares: secret("OTHER_KEY"), hooks: goodHooks("hooks2")},
		"hangs":  {declares: secret("HANGS_KEY"), hooks: hangingHooks()},
		"fails":  {declares: secret("FAILS_KEY"), hooks: failingHooks()},
		"lies":   {declares: secret("LIES_KEY"), hooks: lyingHooks()},
		"pages":  {hooks: &hooks{listen: serveOddPages}},
		"socket": {hooks: &hooks{listen: linkToTheHost}},
		"nohttp": {hooks: &hooks{listen: func(context.Context, *pluginpb.ListenRequest) error { return nil }}},
	}
}

// goodHooks tell what they were asked. They know only those whose id begins
// with their name.
func goodHooks(name string) *hooks {
	return &hooks{
		test: func(_ context.Context, value string) (*pluginpb.TestSecretResponse, error) {
			return &pluginpb.TestSecretResponse{Ok: value == "good", Message: fmt.Sprintf("%d bytes", len(value))}, nil
		},
		links: func(_ context.Context, actor *pluginpb.Actor) ([]*pluginpb.MenuLink, error) {
			return []*pluginpb.MenuLink{{Href: "/-/plugins/" + name + "/", Label: fmt.Sprintf("%s with a token: %t", actor.GetJson(), actor.GetToken() != "")}}, nil
		},
		people: func(_ context.Context, ids []string) (map[string][]byte, error) {
			people := map[string][]byte{}
			for _, id := range ids {
				if strings.HasPrefix(id, "person") {
					people[id] = actorJSON(map[string]any{"id": id, "name": name + " knows " + id})
				}
			}
			return people, nil
		},
		sender: func(_ context.Context, r *pluginpb.ActorFromRequestRequest) ([]byte, error) {
			user := r.GetHeaders()["x-user"]
			if !strings.HasPrefix(user, name+"-") && user != "all" {
				return nil, nil
			}
			return actorJSON(map[string]any{"id": user, "by": name, "method": r.GetMethod(), "path": r.GetPath(), "headers": r.GetHeaders()}), nil
		},
		listen: serveEcho,
	}
}

func actorJSON(actor map[string]any) []byte {
	data, err := json.Marshal(actor)
	if err != nil {
		complain(err)
	}
	return data
}

func hangingHooks() *hooks {
	return &hooks{
		test: func(ctx context.Context, _ string) (*pluginpb.TestSecretResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		links: func(context.Context, *pluginpb.Actor) ([]*pluginpb.MenuLink, error) { forever(); return nil, nil },
		people: func(context.Context, []string) (map[string][]byte, error) {
			forever()
			return nil, nil
		},
		sender: func(context.Context, *pluginpb.ActorFromRequestRequest) ([]byte, error) { forever(); return nil, nil },
		listen: func(_ context.Context, r *pluginpb.ListenRequest) error {
			return serveAt(r.GetAddress(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/half" {
					_, _ = io.WriteString(w, "half")
					_ = http.NewResponseController(w).Flush()
				}
				forever()
			}))
		},
	}
}

func failingHooks() *hooks {
	err := errors.New("hunter2 is wrong")
	return &hooks{
		test:   func(context.Context, string) (*pluginpb.TestSecretResponse, error) { return nil, err },
		links:  func(context.Context, *pluginpb.Actor) ([]*pluginpb.MenuLink, error) { return nil, err },
		people: func(context.Context, []string) (map[string][]byte, error) { return nil, err },
		sender: func(context.Context, *pluginpb.ActorFromRequestRequest) ([]byte, error) { return nil, err },
		listen: func(context.Context, *pluginpb.ListenRequest) error { return err },
	}
}

// lyingHooks answer what no host may believe.
func lyingHooks() *hooks {
	return &hooks{
		test: func(_ context.Context, value string) (*pluginpb.TestSecretResponse, error) {
			message := "<b>" + value + "</b>\x1b[31m" + value[:len(value)/2] + "\u200b" + value[len(value)/2:] + strings.Repeat("é", 140) + value + strings.Repeat("x", 1000)
			return &pluginpb.TestSecretResponse{Ok: true, Message: message}, nil
		},
		links: func(context.Context, *pluginpb.Actor) ([]*pluginpb.MenuLink, error) {
			links := []*pluginpb.MenuLink{
				{Href: "javascript:alert(1)", Label: "script"}, {Href: "//evil.example/", Label: "network path"}, {Href: "/\\evil.example", Label: "backslash"},
				{Href: "/", Label: strings.Repeat("x", 101)}, {Href: "/", Label: ""}, {Href: "/", Label: "a\u202eb"}, nil,
			}
			for i := range 1000 {
				links = append(links, &pluginpb.MenuLink{Href: "/", Label: fmt.Sprint("link ", i)})
			}
			return links, nil
		},
		people: func(_ context.Context, ids []string) (map[string][]byte, error) {
			people := map[string][]byte{"root": actorJSON(map[string]any{"id": "root", "name": "Eve"}), "stranger": actorJSON(map[string]any{"id": "stranger"})}
			for _, id := range ids {
				people[id] = actorJSON(map[string]any{"id": "eve", "name": "Eve"})
			}
			people["large"] = actorJSON(map[string]any{"id": "large", "name": strings.Repeat("x", 20<<10)})
			people["broken"] = []byte(`{"id":"broken"`)
			return people, nil
		},
		sender: func(_ context.Context, r *pluginpb.ActorFromRequestRequest) ([]byte, error) {
			return []byte(r.GetHeaders()["x-answer"]), nil
		},
		listen: serveEcho,
	}
}

// serveAt serves pages on a socket.
func serveAt(address string, handler http.Handler) error {
	listener, err := net.Listen("unix", address)
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(listener, handler) }()
	return nil
}

// serveEcho serves pages that say how they were asked.
func serveEcho(_ context.Context, r *pluginpb.ListenRequest) error {
	return serveAt(r.GetAddress(), http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		body, _ := io.ReadAll(hr.Body)
		data, _ := json.Marshal(map[string]any{
			"method": hr.Method, "target": hr.RequestURI, "host": hr.Host, "headers": hr.Header,
			"body": string(body), "key": r.GetKey(), "prefix": r.GetPrefix(),
		})
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(data)
	}))
}

// serveOddPages answers with what the path asks for, byte by byte.
func serveOddPages(_ context.Context, r *pluginpb.ListenRequest) error {
	listener, err := net.Listen("unix", r.GetAddress())
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answerOddly(conn)
		}
	}()
	return nil
}

func answerOddly(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 64<<10)
	n, _ := conn.Read(buffer)
	path, _, _ := strings.Cut(strings.TrimPrefix(string(buffer[:n]), "GET /"), " ")
	answers := map[string]string{
		"nothing":  "",
		"garbage":  "\x00\x01\x02 no page\r\n\r\n",
		"hints":    "HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=b\r\nLink: </evil>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"upgrade":  "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		"headers":  "HTTP/1.1 200 OK\r\nX-Large: " + strings.Repeat("x", 64<<10) + "\r\nContent-Length: 2\r\n\r\nok",
		"hintless": strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n", 100000),
		"two":      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"short":    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
		"trailer":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: a=b\r\n\r\n",
	}
	_, _ = io.WriteString(conn, answers[path])
}

// linkToTheHost puts a link to the host's own socket in place of one for its
// pages: the host would talk to itself.
func linkToTheHost(_ context.Context, r *pluginpb.ListenRequest) error {
	sockets, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(r.GetAddress())), "host.sock"))
	if len(sockets) != 1 {
		return fmt.Errorf("found %v", sockets)
	}
	if err := os.Symlink(sockets[0], r.GetAddress()); err != nil {
		return err
	}
	// There is a moment between a look at a file and its use.
	go func() {
		for range 1000 {
			_ = os.Remove(r.GetAddress())
			_ = os.Symlink(sockets[0], r.GetAddress())
			time.Sleep(time.Millisecond)
		}
	}()
	return nil
}
