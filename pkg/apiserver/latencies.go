package apiserver

import "time"

// latencies are where the time of a request went, as far as it is known anyway or an audit record may tell it.
type latencies struct {
	authentication, authorization, impersonation time.Duration
	mutating, validating                         time.Duration // waiting for webhooks
	storage                                      time.Duration
	transform, serialize, write                  time.Duration // the answer; serialize has write in it
}

// elsewhere is how long others were waited for, which is not this server's time.
func (l *latencies) elsewhere() time.Duration { return l.mutating + l.validating }

// slow is from when on the audit log tells where the time of a request went.
const slow = 500 * time.Millisecond

// recordLatencies notes where the time of a slow request went. That of long-running ones is a matter of their clients.
func (s *Server) recordLatencies(c *call) {
	total := s.now().Sub(c.start)
	if total <= slow || c.t.longRunning() {
		return
	}
	note := func(what string, took time.Duration) {
		if took > 0 {
			c.record.Annotate("apiserver.latency.k8s.io/"+what, took.String())
		}
	}
	l := &c.took
	note("authentication", l.authentication)
	note("authorization", l.authorization)
	note("impersonation", l.impersonation)
	note("mutating-webhook", l.mutating)
	note("validating-webhook", l.validating)
	note("etcd", l.storage)
	note("transform-response-object", l.transform)
	note("serialize-response-object", l.serialize)
	note("response-write", l.write)
	if c.pass != nil {
		note("apf-queue-wait", c.pass.Waited())
	}
	note("total", total)
}

// track adds the time until the returned function is called, if the request is recorded.
func (s *Server) track(c *call, to *time.Duration) func() {
	if c.record == nil {
		return func() {}
	}
	began := s.now()
	return func() { *to += s.now().Sub(began) }
}
