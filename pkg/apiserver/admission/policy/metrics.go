package policy

import (
	"strings"
	"time"

	"bonsai/pkg/apiserver/meter"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are upstream's counts of what policies have said: validating ones are counted when they do not hold, with what was made of
// that; mutating ones with every mutation.
type metrics struct {
	checks, mutations         *prometheus.CounterVec
	checkTimes, mutationTimes *prometheus.HistogramVec
	compiled, evaluated       prometheus.Observer
}

func newMetrics(set *meter.Set) *metrics {
	if set == nil {
		set = meter.New() // which nobody reads
	}
	bounds := []float64{0.0000005, 0.001, 0.01, 0.1, 1}
	about := []string{"policy", "policy_binding", "error_type"}
	acted := append(about[:len(about):len(about)], "enforcement_action")
	const checks, mutations = "apiserver_validating_admission_policy_check_", "apiserver_mutating_admission_policy_check_"
	times := prometheus.DefBuckets
	return &metrics{
		compiled:      set.Classic("apiserver_cel_compilation_duration_seconds", "Time to compile the expressions of a policy.", times).WithLabelValues(),
		evaluated:     set.Classic("apiserver_cel_evaluation_duration_seconds", "Time to evaluate the expressions of a policy.", times).WithLabelValues(),
		checks:        set.Counter(checks+"total", "Validations that did not hold, by what was made of that.", acted...),
		checkTimes:    set.Classic(checks+"duration_seconds", "Time that such validations took.", bounds, acted...),
		mutations:     set.Counter(mutations+"total", "Mutations by policies.", about...),
		mutationTimes: set.Classic(mutations+"duration_seconds", "Time that mutations took.", bounds, about...),
	}
}

func (m *metrics) checked(p *validatingPolicy, b *binding, action, message string, took time.Duration) {
	labels := []string{p.name, b.name, kindOfError(message), action}
	m.checks.WithLabelValues(labels...).Inc()
	m.checkTimes.WithLabelValues(labels...).Observe(took.Seconds())
}

func (m *metrics) mutated(i *invocation, err error, took time.Duration) {
	kind := "no_error"
	if err != nil {
		kind = kindOfError(err.Error())
	}
	m.evaluated.Observe(took.Seconds())
	m.mutations.WithLabelValues(i.policy.name, i.binding.name, kind).Inc()
	m.mutationTimes.WithLabelValues(i.policy.name, i.binding.name, kind).Observe(took.Seconds())
}

// timed is compile with the time that it takes counted.
func timed[P, C any](m *metrics, compile func(P) C) func(P) C {
	return func(p P) C {
		began := time.Now()
		defer func() { m.compiled.Observe(time.Since(began).Seconds()) }()
		return compile(p)
	}
}

// kindOfError tells errors apart as upstream does: a validation that just does not hold is an invalid one too.
func kindOfError(message string) string {
	switch {
	case strings.HasPrefix(message, "compilation"):
		return "compile_error"
	case strings.Contains(message, "running out of cost budget"):
		return "out_of_budget"
	}
	return "invalid_error"
}
