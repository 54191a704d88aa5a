package policy

import (
	"errors"
	"testing"
	"time"

	"bonsai/pkg/apiserver/meter"
	"bonsai/pkg/apiserver/meter/metertest"

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
		metertest.Counted(t, set, "apiserver_validating_admission_policy_check_total"))
	require.Equal(t, map[string]float64{"no_error  b": 1, "invalid_error  b": 1},
		metertest.Counted(t, set, "apiserver_mutating_admission_policy_check_total"))
}
