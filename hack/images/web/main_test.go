package main

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
)

var someone = identity{Version: "2", Pod: "web-1<b>", Namespace: "default", Node: "n1", IP: "10.244.0.7"}

func TestAnswersWithWhoItIs(t *testing.T) {
	for _, tt := range []struct {
		name, path, accept string
		want               []string
	}{
		{"plain lines for curl", "/", "*/*", []string{"version:   2\n", "pod:       web-1<b>\n", "node:      n1\n"}},
		{"any path answers", "/a/b", "*/*", []string{"namespace: default\n"}},
		{"a page for browsers, escaped", "/", "text/html,*/*", []string{"<!doctype html>", "web-1&lt;b&gt;"}},
		{"probes", "/healthz", "", []string{"ok"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, tt.path, nil)
			r.Header.Set("Accept", tt.accept)
			w := httptest.NewRecorder()
			handler(someone).ServeHTTP(w, r)
			assert.Equal(t, http.StatusOK, w.Code)
			for _, want := range tt.want {
				assert.Contains(t, w.Body.String(), want)
			}
		})
	}
}

func TestTheTokenTellsTheNode(t *testing.T) {
	payload := base64.RawURLEncoding.EncodeToString([]byte(`{"kubernetes.io":{"namespace":"default","node":{"name":"n1"}}}`))
	file := filepath.Join(t.TempDir(), "token")
	for token, want := range map[string]string{"e30." + payload + ".c2ln": "n1", "e30.e30.c2ln": "", "e30.!.c2ln": "", "": ""} {
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := nodeInToken(file); got != want {
			t.Errorf("the node in %q is %q, want %q", token, got, want)
		}
	}
}
