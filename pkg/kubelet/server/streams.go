package server

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"bonsai/pkg/kubelet/cri"
)

func (c Config) exec(w http.ResponseWriter, r *http.Request) {
	run, ok := c.running(w, r)
	if !ok {
		return
	}
	s, q := streamsOf(r), r.URL.Query()
	to, err := c.Runtime.Exec(r.Context(), &runtimev1.ExecRequest{
		ContainerId: run.ID, Cmd: q["command"], Tty: s.tty, Stdin: s.in, Stdout: s.out, Stderr: s.err && !s.tty,
	})
	c.pass(w, r, to, err)
}

func (c Config) attach(w http.ResponseWriter, r *http.Request) {
	run, ok := c.running(w, r)
	if !ok {
		return
	}
	s := streamsOf(r)
	to, err := c.Runtime.Attach(r.Context(), &runtimev1.AttachRequest{
		ContainerId: run.ID, Tty: s.tty, Stdin: s.in, Stdout: s.out, Stderr: s.err && !s.tty,
	})
	c.pass(w, r, to, err)
}

func (c Config) portForward(w http.ResponseWriter, r *http.Request) {
	_, runtime, ok := c.found(w, r)
	if !ok {
		return
	}
	sandbox := runtime.ReadySandbox()
	if sandbox == nil {
		http.Error(w, "the pod has no sandbox that is ready", http.StatusNotFound)
		return
	}
	var ports []int32
	for _, p := range r.URL.Query()["port"] {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			http.Error(w, "port must be a number from 1 to 65535", http.StatusBadRequest)
			return
		}
		ports = append(ports, int32(n))
	}
	to, err := c.Runtime.PortForward(r.Context(), sandbox.ID, ports)
	c.pass(w, r, to, err)
}

// streams are those that a session is to have.
type streams struct{ in, out, err, tty bool }

func streamsOf(r *http.Request) streams {
	q := r.URL.Query()
	on := func(name string) bool { v := q.Get(name); return v == "1" || v == "true" }
	return streams{on("input"), on("output"), on("error"), on("tty")}
}

// pass hands the connection on to the runtime's streaming server.
func (c Config) pass(w http.ResponseWriter, r *http.Request, to string, err error) {
	if err != nil {
		http.Error(w, cri.Message(err), http.StatusInternalServerError)
		return
	}
	target, err := url.Parse(to)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL, p.Out.Host = target, target.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "the runtime's streaming server: "+err.Error(), http.StatusBadGateway)
		},
	}
	proxy.ServeHTTP(w, r)
}
