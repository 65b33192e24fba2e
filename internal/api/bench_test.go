package api_test

import (
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/datasette-secrets/datasette-secrets/tests/harness"
)

// BenchmarkRead is a recorded read over 64 connections, and beside it a bare
// handler that answers with the same: what is left between them is this
// program's. Of the processor's time both have the part of who asks.
func BenchmarkRead(b *testing.B) {
	w := newWorld(b)
	b.Run("host", func(b *testing.B) { serve(b, w.handler, w.reader) })
	b.Run("bare", func(b *testing.B) {
		serve(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"name": "API_KEY", "value": canary, "version": 1, "source": "database"})
		}), w.reader)
	})
}

func serve(b *testing.B, handler http.Handler, token string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ok(b, err)
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute,
		WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	request := "GET /-/api/v1/secrets/API_KEY?actor=root HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer " + token + "\r\n\r\n"
	const connections = 64
	var group sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	began := processorTime()
	for i := range connections {
		group.Go(func() {
			if _, err := harness.AskOver(listener.Addr().String(), request, (b.N+i)/connections); err != nil {
				b.Error(err)
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(processorTime()-began)/float64(b.N), "cpu-ns/op")
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
