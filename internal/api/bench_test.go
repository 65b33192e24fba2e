package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkRead is a recorded read with 64 callers, without a network.
func BenchmarkRead(b *testing.B) {
	w := newWorld(b)
	b.SetParallelism(64)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := httptest.NewRequest("GET", "https://host/-/api/v1/secrets/API_KEY?actor=root", nil)
			r.Header.Set("Authorization", "Bearer "+w.reader)
			recorder := httptest.NewRecorder()
			w.handler.ServeHTTP(recorder, r)
			if recorder.Code != http.StatusOK {
				b.Errorf("%d %s", recorder.Code, recorder.Body)
				return
			}
		}
	})
}
