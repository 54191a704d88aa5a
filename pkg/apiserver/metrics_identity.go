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
	who, whether tallies
	users        *prometheus.CounterVec
}

func newIdentityMetrics(set *meter.Set) identityMetrics {
	return identityMetrics{
		who:     newTallies(set, "authentication", "authentication_attempts", "who asks", "success", "failure", "error"),
		whether: newTallies(set, "authorization", "authorization_attempts_total", "whether a request may go on", "allowed", "denied", "no-opinion", "error"),
		users:   set.Counter("authenticated_user_requests", "Requests by who made them, if that is known everywhere.", "username"),
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
