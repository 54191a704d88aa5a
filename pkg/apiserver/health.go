package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/pkg/apiserver/meter"

	"github.com/prometheus/client_golang/prometheus"
)

// check is one named question about the server's health.
type check struct {
	name string
	ask  func(context.Context) error
}

// health is one of /healthz, /livez and /readyz: the same checks, and a few more for readyz.
type health struct {
	name   string
	checks []check
	slis   *slis
}

// slis are what came of the checks, as /metrics/slis shows it.
type slis struct {
	set    *meter.Set
	last   *prometheus.GaugeVec
	totals *prometheus.CounterVec
}

func newSLIs() *slis {
	set := meter.New()
	return &slis{
		set:    set,
		last:   set.Gauge("kubernetes_healthcheck", "What the last of each check has found: 1 is good.", "name", "type"),
		totals: set.Counter("kubernetes_healthchecks_total", "Checks by what they have found.", "name", "type", "status"),
	}
}

func (s *slis) observe(name, kind string, good bool) {
	last, status := 0.0, "error"
	if good {
		last, status = 1, "success"
	}
	s.last.WithLabelValues(name, kind).Set(last)
	s.totals.WithLabelValues(name, kind, status).Inc()
}

var errStopping = errors.New("process is shutting down")

func (s *Server) healthEndpoints() []health {
	fine := func(context.Context) error { return nil }
	always := []check{{"ping", fine}, {"log", fine}, {"etcd", s.checkStore}}
	var started []check
	for _, name := range hookChecks {
		c := check{"poststarthook/" + name, s.hookNamed(name).finished}
		started = append(started, c)
		if name == "kube-apiserver-autoregistration" {
			started = append(started, check{"autoregister-completion", c.ask})
		}
	}
	// The image is filled before the server answers at all; that it follows etcd is what the check of etcd waits for.
	ready := []check{{"etcd-readiness", s.checkStore}, {"informer-sync", fine}}
	for _, c := range s.cfg.HealthChecks {
		always = append(always, check{c.Name, c.Ask})
	}
	return []health{
		{"healthz", slices.Concat(always, started), s.slis},
		{"livez", slices.Concat(always, started), s.slis},
		{"readyz", slices.Concat(always, ready, started, []check{{"shutdown", s.checkStopping}}), s.slis},
	}
}

func (s *Server) checkStore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := s.store.Newest(ctx)
	return err
}

// finished tells whether the work of h has been done.
func (h *hook) finished(context.Context) error {
	if !h.done.Load() {
		return errHookNotFinished
	}
	return nil
}

func (s *Server) checkStopping(context.Context) error {
	if s.stopping.Err() != nil {
		return errStopping
	}
	return nil
}

// serve runs all checks that ?exclude does not name. ?verbose lists them; so does a failure.
func (h health) serve(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var lines strings.Builder
	failed := false
	unknown := q["exclude"]
	for _, c := range h.checks {
		if slices.Contains(q["exclude"], c.name) {
			unknown = slices.DeleteFunc(slices.Clone(unknown), func(name string) bool { return name == c.name })
			fmt.Fprintf(&lines, "[+]%s excluded: ok\n", c.name)
			continue
		}
		good := c.ask(r.Context()) == nil
		h.slis.observe(c.name, h.name, good)
		if good {
			fmt.Fprintf(&lines, "[+]%s ok\n", c.name)
			continue
		}
		failed = true
		fmt.Fprintf(&lines, "[-]%s failed: reason withheld\n", c.name)
	}
	if len(unknown) > 0 {
		fmt.Fprintf(&lines, "warn: some health checks cannot be excluded: no matches for %s\n", quoted(unknown))
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	switch _, verbose := q["verbose"]; {
	case failed:
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "%s%s check failed\n", lines.String(), h.name)
	case verbose:
		fmt.Fprintf(w, "%s%s check passed\n", lines.String(), h.name)
	default:
		fmt.Fprint(w, "ok")
	}
}

// quoted lists names, each once, in order.
func quoted(names []string) string {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	for i, n := range names {
		names[i] = strconv.Quote(n)
	}
	return strings.Join(names, ",")
}

// serveOne runs one check.
func (h health) serveOne(w http.ResponseWriter, r *http.Request) {
	i := slices.IndexFunc(h.checks, func(c check) bool { return c.name == r.PathValue("check") })
	if i < 0 {
		notServed(w)
		return
	}
	if err := h.checks[i].ask(r.Context()); err != nil {
		http.Error(w, "internal server error: "+err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, "ok")
}
