package policy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"bonsai/pkg/apiserver/meter"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestCounts(t *testing.T) {
	set := meter.New()
	m := newMetrics(set)
	b := &binding{name: "b"}
	p := &validatingPolicy{}
	p.name = "p"
	for _, message := range []string{"must be small", "compilation error: x", "validation failed due to running out of cost budget, y"} {
		m.checked(p, b, "deny", message, time.Millisecond)
	}
	i := &invocation{policy: &mutatingPolicy{}, binding: b}
	m.mutated(i, nil, time.Millisecond)
	m.mutated(i, errors.New("no such key"), time.Millisecond)
	require.Equal(t, map[string]float64{"deny invalid_error p b": 1, "deny compile_error p b": 1, "deny out_of_budget p b": 1},
		counted(t, set, "apiserver_validating_admission_policy_check_total"))
	require.Equal(t, map[string]float64{"no_error  b": 1, "invalid_error  b": 1},
		counted(t, set, "apiserver_mutating_admission_policy_check_total"))
}

// counted are the values of a counter, by its labels' values.
func counted(t *testing.T, set *meter.Set, name string) map[string]float64 {
	registry := prometheus.NewRegistry()
	registry.MustRegister(set)
	families, err := registry.Gather()
	require.NoError(t, err)
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			if f.GetName() == name {
				out[strings.Join(labels, " ")] = m.GetCounter().GetValue()
			}
		}
	}
	return out
}
