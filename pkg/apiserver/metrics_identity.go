package apiserver

import (
	"strings"
	"time"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/meter"

	"github.com/prometheus/client_golang/prometheus"
)

// The answers to who and whether, by upstream's names. There are few of each, so they are found once.

// tallies are a counter and a distribution for each result.
type tallies map[string]tally

type tally struct {
	total prometheus.Counter
	time  prometheus.Observer
}

func (o tallies) count(result string, took time.Duration) {
	o[result].total.Inc()
	o[result].time.Observe(took.Seconds())
}

func newTallies(set *meter.Set, what, attempts, of string, results ...string) tallies {
	total := set.Counter(attempts, "Times that "+of+" was found out, by the result.", "result")
	took := set.Histogram(what+"_duration_seconds", "Time to find out "+of+".", prometheus.ExponentialBuckets(0.001, 2, 15), "result")
	out := tallies{}
	for _, r := range results {
		out[r] = tally{total.WithLabelValues(r), took.WithLabelValues(r)}
	}
	return out
}

// identityMetrics count who asks, and whether he may.
type identityMetrics struct {
	who, whether  tallies
	steps         stepMetrics
	impersonation *impersonationMetrics
	users         *prometheus.CounterVec
}

// stepMetrics are the time that steps of the chain take by themselves, as upstream tells of its filters.
type stepMetrics struct{ authentication, audit, impersonation, fairness, authorization prometheus.Observer }

func newStepMetrics(set *meter.Set) stepMetrics {
	steps := set.Histogram("apiserver_request_filter_duration_seconds", "Time that steps of the chain took by themselves.",
		[]float64{.0001, .0003, .001, .003, .01, .03, .1, .3, 1, 5, 10, 15, 30}, "filter")
	return stepMetrics{
		authentication: steps.WithLabelValues("authentication"), audit: steps.WithLabelValues("audit"),
		impersonation: steps.WithLabelValues("constrainedimpersonation"), fairness: steps.WithLabelValues("priorityandfairness"),
		authorization: steps.WithLabelValues("authorization"),
	}
}

func newIdentityMetrics(set *meter.Set) identityMetrics {
	return identityMetrics{
		steps:         newStepMetrics(set),
		impersonation: newImpersonationMetrics(set),
		who:           newTallies(set, "authentication", "authentication_attempts", "who asks", "success", "failure", "error"),
		whether:       newTallies(set, "authorization", "authorization_attempts_total", "whether a request may go on", "allowed", "denied", "no-opinion", "error"),
		users:         set.Counter("authenticated_user_requests", "Requests by who made them, if that is known everywhere.", "username"),
	}
}

// authenticated counts the result of authentication.
func (m *identityMetrics) authenticated(u auth.User, ok bool, err error, took time.Duration) {
	result := "success"
	switch {
	case err != nil:
		result = "error"
	case !ok:
		result = "failure"
	default:
		m.users.WithLabelValues(shortName(u.Name)).Inc()
	}
	m.who.count(result, took)
	m.steps.authentication.Observe(took.Seconds())
}

// shortName stands for a user without telling apart more of them than a metric can bear.
func shortName(user string) string {
	switch user {
	case "admin", "client", "kube_proxy", "kubelet", "system:serviceaccount:kube-system:default":
		return user
	}
	if strings.Contains(user, "@") {
		return "email_id"
	}
	return "other"
}

// authorized counts the result of authorization.
func (m *identityMetrics) authorized(d auth.Decision, err error, took time.Duration) {
	result := "no-opinion"
	switch {
	case d == auth.Allow:
		result = "allowed"
	case err != nil:
		result = "error"
	case d == auth.Deny:
		result = "denied"
	}
	m.whether.count(result, took)
}

// lap notes that a step has let the request through: it took the time since the one before it did. One clock between two does for both.
func (s *Server) lap(c *call, took prometheus.Observer) {
	now := s.now()
	took.Observe(now.Sub(c.lap).Seconds())
	c.lap = now
}

// impersonationMetrics count who wanted to act as another, and the questions asked about that.
type impersonationMetrics struct {
	attempts, questions         *prometheus.CounterVec
	attemptTimes, questionTimes *prometheus.HistogramVec
}

func newImpersonationMetrics(set *meter.Set) *impersonationMetrics {
	const prefix = "apiserver_impersonation_"
	labels, bounds := []string{"decision", "mode"}, prometheus.ExponentialBuckets(0.001, 2, 15)
	return &impersonationMetrics{
		attempts:      set.Counter(prefix+"attempts_total", "Requests to act as another, by the mode that allowed it.", labels...),
		attemptTimes:  set.Histogram(prefix+"attempts_duration_seconds", "Time to decide on a request to act as another.", bounds, labels...),
		questions:     set.Counter(prefix+"authorization_attempts_total", "Questions to the authorizers about acting as another, by mode.", labels...),
		questionTimes: set.Histogram(prefix+"authorization_attempts_duration_seconds", "Time of these questions.", bounds, labels...),
	}
}

func decisionOf(err error) string {
	if err != nil {
		return "denied"
	}
	return "allowed"
}

// modeName is what metrics call a mode: the old one, which has no name, too.
func modeName(mode string) string {
	if mode == "" {
		return "legacy"
	}
	return mode
}

// attempted counts a request to act as another.
func (m *impersonationMetrics) attempted(mode string, err error, took time.Duration) {
	if mode = modeName(mode); err != nil {
		mode = "" // none has allowed it
	}
	m.attempts.WithLabelValues(decisionOf(err), mode).Inc()
	m.attemptTimes.WithLabelValues(decisionOf(err), mode).Observe(took.Seconds())
}

// asked counts a question about it.
func (m *impersonationMetrics) asked(mode string, err error, took time.Duration) {
	m.questions.WithLabelValues(decisionOf(err), modeName(mode)).Inc()
	m.questionTimes.WithLabelValues(decisionOf(err), modeName(mode)).Observe(took.Seconds())
}
