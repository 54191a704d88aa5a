package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"slices"

	"bonsai/pkg/apiserver/openapi"
	"bonsai/pkg/version"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	apiversion "k8s.io/apimachinery/pkg/version"
)

// otherPaths routes the paths that are no resources.
func (s *Server) otherPaths() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/openapi/v2", described((*openapi.Service).ServeV2))
	mux.HandleFunc("/openapi/v3", described((*openapi.Service).ServeV3Index))
	mux.HandleFunc("/openapi/v3/", described((*openapi.Service).ServeV3))
	mux.HandleFunc("/version", serveVersion)
	mux.HandleFunc("/version/", serveVersion)
	mux.Handle("/metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{ProcessStartTime: s.began}))
	slis := prometheus.NewRegistry()
	slis.MustRegister(s.slis.set)
	mux.Handle("/metrics/slis", promhttp.HandlerFor(slis, promhttp.HandlerOpts{ProcessStartTime: s.began}))
	mux.HandleFunc("/statusz", s.serveStatusz)
	s.otherNames = []string{"/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/", "/debug/", "/metrics", "/metrics/slis",
		"/openapi/v2", "/openapi/v3", "/openapi/v3/", "/openid/v1/jwks", "/statusz", "/version"}
	for _, h := range s.healthEndpoints() {
		s.otherNames = append(s.otherNames, "/"+h.name)
		for _, c := range h.checks {
			s.otherNames = append(s.otherNames, "/"+h.name+"/"+c.name)
		}
		mux.HandleFunc("/"+h.name, h.serve)
		mux.HandleFunc("/"+h.name+"/{check...}", h.serveOne)
	}
	if s.cfg.Tokens != nil {
		for _, end := range []string{"", "/{$}"} {
			mux.HandleFunc(openIDConfigPath+end, s.cfg.Tokens.ServeOpenIDConfig)
			mux.HandleFunc(jwksPath+end, s.cfg.Tokens.ServeJWKS)
		}
	}
	s.debugPaths(mux)
	mux.HandleFunc("/{$}", s.serveIndex)
	mux.HandleFunc("/index.html", s.serveIndex)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { notServed(w) })
	return mux
}

// kindsKey finds the kinds of a request in its context, for those handlers that see no call.
type kindsKey struct{}

func kindsOf(r *http.Request) *kinds { return r.Context().Value(kindsKey{}).(*kinds) }

// described serves from the OpenAPI of the kinds that the request has found.
func described(serve func(*openapi.Service, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		docs, err := kindsOf(r).openapi()
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		serve(docs, w, r)
	}
}

// serveIndex lists what there is, as `kubectl get --raw /` shows it.
func (s *Server) serveIndex(w http.ResponseWriter, r *http.Request) {
	paths := slices.Clone(s.otherNames)
	for _, row := range kindsOf(r).table.Rows() {
		for _, v := range row.Versions {
			if v.Group != "" {
				paths = append(paths, "/apis/"+v.Group, "/apis/"+v.Group+"/"+v.Version)
			}
		}
	}
	slices.Sort(paths)
	writeJSON(w, map[string][]string{"paths": slices.Compact(paths)})
}

func serveVersion(w http.ResponseWriter, _ *http.Request) { writeJSON(w, versionInfo()) }

func versionInfo() apiversion.Info {
	return apiversion.Info{
		Major: version.Major, Minor: version.Minor, GitVersion: version.Kubernetes, GitCommit: version.Commit, GitTreeState: "clean",
		EmulationMajor: version.Major, EmulationMinor: version.Minor, MinCompatibilityMajor: version.Major, MinCompatibilityMinor: "36",
		GoVersion: runtime.Version(), Compiler: runtime.Compiler, Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// writeJSON answers with v for people.
func writeJSON(w http.ResponseWriter, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, fmt.Sprintf("encode answer: %v", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", typeJSON)
	_, _ = w.Write(b) // fails only if the client has gone
}
