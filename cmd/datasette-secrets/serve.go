package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/datasette-secrets/datasette-secrets/host"
	"github.com/datasette-secrets/datasette-secrets/internal/config"
	"github.com/datasette-secrets/datasette-secrets/internal/httpconn"
)

// drainTime is how long requests may go on after a signal. With the plugins'
// time to stop it stays below five seconds.
const drainTime = time.Second

type serveFlags struct {
	hostFlags
	ignoredFlags
	listenFlags
	getFlags
	developFlags
	logFlags
	helpSettings bool
}

// listenFlags say where the host answers.
type listenFlags struct {
	host     string
	port     int
	uds      string
	apiUDS   string
	certFile string
	keyFile  string
}

func newServe(sys system) *cobra.Command {
	flags := &serveFlags{}
	cmd := &cobra.Command{
		Use:   "serve [FILES]...",
		Short: "Serve the pages and start the plugins (the default command)",
		Example: `  datasette-secrets generate-encryption-key > secrets.key
  datasette-secrets --internal internal.db --root \
    -s plugins.datasette-secrets.encryption-key.'$file' secrets.key`,
		RunE: func(cmd *cobra.Command, files []string) error {
			if flags.helpSettings {
				_, err := fmt.Fprint(cmd.OutOrStdout(), config.SettingsHelp())
				return err
			}
			return suggestCommand(cmd.Root(), files, flags.run(cmd.Context(), sys, files))
		},
	}
	flags.hostFlags.add(cmd)
	flags.listenFlags.add(cmd)
	flags.getFlags.add(cmd)
	flags.developFlags.add(cmd)
	flags.logFlags.add(cmd)
	cmd.Flags().BoolVar(&flags.helpSettings, "help-settings", false, "list the settings for -s and exit")
	flags.ignoredFlags.add(cmd)
	return cmd
}

// suggestCommand adds a hint to the error about a missing file that may be a
// mistyped command: whatever is no command is taken for a file.
func suggestCommand(root *cobra.Command, files []string, err error) error {
	if !errors.Is(err, host.ErrNoFile) || len(files) != 1 {
		return err
	}
	similar := root.SuggestionsFor(files[0])
	if len(similar) == 0 {
		return err
	}
	return fmt.Errorf("%w (did you mean the command %s?)", err, similar[0])
}

func (f *listenFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.host, "host", "h", "127.0.0.1", "address to listen on")
	flags.IntVarP(&f.port, "port", "p", 8001, "port to listen on; 0 chooses a free one")
	flags.StringVar(&f.uds, "uds", "", "unix socket to listen on instead")
	flags.StringVar(&f.apiUDS, "api-uds", "", "unix socket to answer applications on as well, and only them")
	flags.StringVar(&f.keyFile, "ssl-keyfile", "", "TLS key file (or DATASETTE_SSL_KEYFILE)")
	flags.StringVar(&f.certFile, "ssl-certfile", "", "TLS certificate file (or DATASETTE_SSL_CERTFILE)")
}

func (f *serveFlags) run(ctx context.Context, sys system, files []string) error {
	if err := f.listenFlags.check(); err != nil {
		return err
	}
	if err := f.getFlags.check(); err != nil {
		return err
	}
	if err := f.developFlags.check(f.listenFlags); err != nil {
		return err
	}
	if err := f.logFlags.check(); err != nil {
		return err
	}
	log := f.logFlags.open(sys, f.dev)
	cfg := f.config(sys, files, log)
	cfg.Development = f.development()
	cfg.Commands = f.getFlags.path == ""
	if f.getFlags.path != "" {
		cfg.Root = false // as in Datasette: nobody signs in, so nobody is root
		cfg.Log = nil
	}
	opened, err := host.Open(ctx, cfg)
	if err != nil {
		return err
	}
	for _, warning := range append(f.ignoredFlags.warnings(), opened.Warnings()...) {
		log.Warn(warning)
	}
	if f.getFlags.path != "" {
		err = f.getFlags.run(ctx, sys.stdout, opened)
	} else {
		err = f.listen(ctx, sys, log, opened)
	}
	return errors.Join(err, opened.Close(context.WithoutCancel(ctx)))
}

func (f *listenFlags) check() error {
	if f.port < 0 || f.port > 65535 {
		return usagef("Invalid value for '-p' / '--port': %d is not in the range 0<=x<=65535.", f.port)
	}
	return nil
}

// listen serves until ctx ends.
func (f *serveFlags) listen(ctx context.Context, sys system, log *slog.Logger, opened *host.Host) error {
	tlsConfig, err := f.listenFlags.tls(sys)
	if err != nil {
		return err
	}
	listener, err := f.listenFlags.open(ctx)
	if err != nil {
		return err
	}
	base := f.listenFlags.baseURL(listener, tlsConfig != nil)
	listener = httpconn.Listener(listener)
	if tlsConfig != nil {
		listener = tls.NewListener(listener, tlsConfig)
	}
	doors := []door{{newServer(ctx, opened, opened.Handler(), log), listener}}
	if f.apiUDS != "" {
		only, err := listenUnix(ctx, f.apiUDS, apiSocketMode)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		doors = append(doors, door{newServer(ctx, opened, opened.API(), log), httpconn.Listener(only)})
	}
	collectLater(sys)
	addProcessor(sys)
	f.announce(sys, log, opened, base)
	return serveUntil(ctx, doors...)
}

// heapGrowth is how far the heap grows before garbage is collected, in percent of what
// is in use. The heap of a host is a few megabytes, so that Go's own 100 would collect
// hundreds of times a second under load. heapLimit is where it is collected at the
// latest, in bytes: large requests would otherwise take many times what they need.
const (
	heapGrowth = 1200
	heapLimit  = 256 << 20
)

// collectLater sets both, unless the environment says how memory is to be used.
func collectLater(sys system) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if _, set := sys.lookupEnv(name); set {
			return
		}
	}
	debug.SetGCPercent(heapGrowth)
	debug.SetMemoryLimit(heapLimit)
}

// addProcessor lets as much Go code run at once as there are processors, and one
// call of SQLite beside it, unless the environment says otherwise. While that waits
// for the disk, it would keep one of them from everybody else. What a container may
// use is asked at the start only, then.
func addProcessor(sys system) {
	if _, set := sys.lookupEnv("GOMAXPROCS"); !set {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}

// door is a server and where it answers.
type door struct {
	server   *http.Server
	listener net.Listener
}

func newServer(ctx context.Context, opened *host.Host, handler http.Handler, log *slog.Logger) *http.Server {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	opened.Record(ctx, server)
	return server
}

// serveUntil serves until ctx ends, or a door fails.
func serveUntil(ctx context.Context, doors ...door) error {
	failed := make(chan error, len(doors))
	for _, d := range doors {
		go func() { failed <- d.server.Serve(d.listener) }()
	}
	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	var closing sync.WaitGroup
	for _, d := range doors {
		closing.Go(func() {
			if d.server.Shutdown(drain) != nil {
				d.server.Close() // a client that is still there is cut off
			}
		})
	}
	closing.Wait()
	return err
}

func (f *listenFlags) tls(sys system) (*tls.Config, error) {
	certFile, keyFile := f.certFile, f.keyFile
	if certFile == "" {
		certFile, _ = sys.lookupEnv("DATASETTE_SSL_CERTFILE")
	}
	if keyFile == "" {
		keyFile, _ = sys.lookupEnv("DATASETTE_SSL_KEYFILE")
	}
	if certFile == "" && keyFile == "" {
		return nil, nil
	}
	if certFile == "" {
		return nil, usagef("--ssl-keyfile needs --ssl-certfile as well")
	}
	if keyFile == "" {
		keyFile = certFile // one file may hold both
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("reading the TLS certificate %s and key %s: %w", certFile, keyFile, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}, nil
}

func (f *listenFlags) open(ctx context.Context) (net.Listener, error) {
	if f.uds != "" {
		return listenUnix(ctx, f.uds, 0o666)
	}
	address := net.JoinHostPort(f.host, strconv.Itoa(f.port))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w; choose another port with -p", address, err)
	}
	return listener, nil
}

// apiSocketMode lets the user of the host and its group connect. Who does still
// needs a token.
const apiSocketMode = 0o660

// listenUnix listens on a socket. That of the pages is one that every user may
// connect to, as with Datasette, so that a reverse proxy can. A socket that a
// dead process left behind is replaced; any other file is not.
func listenUnix(ctx context.Context, path string, mode os.FileMode) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if probe, err := net.Dial("unix", path); err == nil {
			probe.Close()
			return nil, fmt.Errorf("listening on %s: another process is listening there", path)
		}
		os.Remove(path)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", path, err)
	}
	if err := os.Chmod(path, mode); err != nil {
		listener.Close()
		return nil, fmt.Errorf("opening the socket to its users: %w", err)
	}
	return listener, nil
}

// baseURL is where a browser finds the host, with the port that was chosen.
func (f *listenFlags) baseURL(listener net.Listener, secure bool) string {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	port := f.port
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok {
		port = tcp.Port
	}
	return scheme + "://" + net.JoinHostPort(f.host, strconv.Itoa(port))
}

// announce tells the operator where to go. The sign-in URL is the only line of
// standard output, so that a script can read it; it goes nowhere else.
func (f *serveFlags) announce(sys system, log *slog.Logger, opened *host.Host, base string) {
	if f.root {
		fmt.Fprintln(sys.stdout, base+opened.SignInPath())
	}
	if f.dev {
		log.Warn("DEVELOPMENT MODE: whatever a plugin asks for counts as approved; it is for this machine only")
	}
	if opened.Ephemeral() {
		log.Warn("the secrets are in a temporary database and WILL BE LOST when this program ends; keep them with --internal internal.db")
	}
	where := base
	if f.uds != "" {
		where = "unix socket " + f.uds
	}
	log.Info("serving on " + where + " (press CTRL+C to quit)")
}
