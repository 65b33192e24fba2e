package control

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	secrets "github.com/datasette-secrets/datasette-secrets"
	"github.com/datasette-secrets/datasette-secrets/internal/rundir"
)

const (
	socketName  = "control.sock"
	tokenDigits = 64 // hexadecimal, for 256 bits
	maxConns    = 16
	readLimit   = 5 * time.Second  // for a request to arrive
	callLimit   = 30 * time.Second // for an act, whatever it waits for
	closeLimit  = time.Second      // for acts to end when the host does
)

// Act does what a command asks for. The caller is the user who runs the
// command. What it returns is encoded as JSON.
type Act func(ctx context.Context, caller secrets.Caller, request json.RawMessage) (any, error)

// Config says what commands can ask for.
type Config struct {
	Database   string         // path of the file; it exists
	RuntimeDir string         // where to make the private folder of the socket; empty for a usual place
	Acts       map[string]Act // by names of letters, digits, "-" and "/"
	Log        *slog.Logger
}

// Server takes commands until it is closed.
type Server struct {
	http   *http.Server
	folder *rundir.Dir
	path   string   // of the note
	note   *os.File // locked
}

// Serve takes commands for a database, in the background. It is ErrTaken when
// another host does so already.
func Serve(cfg Config) (*Server, error) {
	s, err := serve(cfg)
	if err != nil {
		return nil, fmt.Errorf("taking commands: %w", err)
	}
	return s, nil
}

func serve(cfg Config) (*Server, error) {
	path, err := notePath(cfg.Database)
	if err != nil {
		return nil, err
	}
	folder, err := rundir.Make(cfg.RuntimeDir, len("/"+socketName))
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(folder.Path, socketName)
	listener, err := listen(socket)
	if err != nil {
		return nil, errors.Join(err, folder.Remove())
	}
	token := newToken()
	file, err := claim(path, note{Socket: socket, Token: token, PID: os.Getpid()})
	if err != nil {
		return nil, errors.Join(err, listener.Close(), folder.Remove())
	}
	desk := &desk{acts: cfg.Acts, bearer: []byte("Bearer " + token), log: cfg.Log}
	s := &Server{
		http: &http.Server{
			Handler: desk, ConnContext: withUser,
			ReadHeaderTimeout: readLimit, ReadTimeout: readLimit, WriteTimeout: callLimit + readLimit,
			IdleTimeout: readLimit, MaxHeaderBytes: 8 << 10,
			ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		},
		folder: folder, path: path, note: file,
	}
	go func() { _ = s.http.Serve(listener) }() // ends with Close
	return s, nil
}

// Close ends acts that go on, and removes the socket and the note.
func (s *Server) Close() error {
	withdrawn := withdraw(s.note, s.path)
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close() // a command that waits is cut off
	}
	if err := errors.Join(withdrawn, s.folder.Remove()); err != nil {
		return fmt.Errorf("taking no more commands: %w", err)
	}
	return nil
}

func newToken() string {
	raw := make([]byte, tokenDigits/2)
	rand.Read(raw) // never fails: it ends the program instead
	return hex.EncodeToString(raw)
}

// desk answers the requests.
type desk struct {
	acts   map[string]Act
	bearer []byte
	log    *slog.Logger

	mu     sync.Mutex
	warned time.Time // when somebody without the token was last mentioned
}

// ServeHTTP implements http.Handler.
func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), d.bearer) != 1 {
		d.refuse(w)
		return
	}
	act := d.acts[strings.TrimPrefix(r.URL.Path, "/")]
	if r.Method != http.MethodPost || act == nil {
		reply(w, http.StatusNotFound, nil, fmt.Errorf("%w: this host knows no such command; is it of another version?", secrets.ErrInvalid))
		return
	}
	var request json.RawMessage
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&request); err != nil {
		reply(w, http.StatusBadRequest, nil, fmt.Errorf("%w: the request is no JSON, or too large", secrets.ErrInvalid))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), callLimit)
	defer cancel()
	result, err := d.perform(ctx, act, request)
	reply(w, http.StatusOK, result, err)
}

// refuse hangs up on who has no token, and tells the log once in a while.
func (d *desk) refuse(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	reply(w, http.StatusUnauthorized, nil, fmt.Errorf("%w: the token is not that of this host", secrets.ErrDenied))
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.warned) > time.Minute {
		d.warned = time.Now()
		d.log.Warn("somebody without the token of this host tries to command it")
	}
}

// perform turns a panic into an error. What it carries may be a secret, so
// that only its place is logged.
func (d *desk) perform(ctx context.Context, act Act, request json.RawMessage) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("panic while performing a command", "stack", string(debug.Stack()))
			result, err = nil, errors.New("internal error; the host's log says where")
		}
	}()
	return act(ctx, operator(ctx), request)
}

func reply(w http.ResponseWriter, status int, result any, err error) {
	var a answer
	if err == nil {
		a.Answer, err = json.Marshal(result)
	}
	if err != nil {
		a = answer{Error: failureOf(err)}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // a command that is gone reads nothing
}

// userKey is where withUser puts the user.
type userKey struct{}

// withUser keeps who connected.
func withUser(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, userKey{}, conn.(*peer).uid)
}

// operator is who runs the command, as the kernel knows it.
func operator(ctx context.Context) secrets.Caller {
	uid, _ := ctx.Value(userKey{}).(int)
	return Operator(uid)
}

// Operator is the caller that a user of this machine is at a command line: an
// actor whose id is the user's name.
func Operator(uid int) secrets.Caller {
	name := "uid " + strconv.Itoa(uid)
	if known, err := user.LookupId(strconv.Itoa(uid)); err == nil && known.Username != "" {
		name = known.Username
	}
	return secrets.Caller{Actor: secrets.NewActor(name), Proof: secrets.ProofLocal}
}
