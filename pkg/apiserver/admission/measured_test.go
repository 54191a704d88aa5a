package admission

import (
	"context"
	"errors"
	"testing"

	"bonsai/pkg/apiserver/meter"
	"bonsai/pkg/apiserver/meter/metertest"

	"github.com/stretchr/testify/require"
)

// Each plugin that upstream has, too, says by which operations it is counted; what here is a plugin and upstream none is not counted.
func TestEachPluginIsMeasured(t *testing.T) {
	unmeasured := []string{}
	for _, p := range all(Deps{}.withDefaults()) {
		if _, ok := halves[p.Name()]; !ok {
			unmeasured = append(unmeasured, p.Name())
		}
	}
	require.ElementsMatch(t, []string{"DeviceAdminAccess", "PodCertificateSigning", "ResourceClaimStatusAuthorization"}, unmeasured)
}

// no refuses everything in one half or the other.
type no struct {
	name            string
	admit, validate error
}

func (n no) Name() string                                { return n.name }
func (n no) Admit(context.Context, *Attributes) error    { return n.admit }
func (n no) Validate(context.Context, *Attributes) error { return n.validate }

func TestMeasuredPlugins(t *testing.T) {
	set := meter.New()
	m := Measure(Chain{no{name: "LimitRanger"}, no{name: "Other"}, no{name: "PodSecurity", validate: errors.New("no")}, no{name: "ResourceQuota"}}, set)
	require.NoError(t, m.Admit(t.Context(), &Attributes{Operation: Create}))
	require.Error(t, m.Validate(t.Context(), &Attributes{Operation: Create}))
	require.NoError(t, m.Admit(t.Context(), &Attributes{Operation: Delete}))
	require.Equal(t, map[string]float64{
		"LimitRanger CREATE false admit": 1, "LimitRanger CREATE false validate": 1, "PodSecurity CREATE true validate": 1,
	}, metertest.Counted(t, set, "apiserver_admission_controller_admission_duration_seconds"))
	require.Equal(t, map[string]float64{"CREATE false admit": 1, "CREATE true validate": 1, "DELETE false admit": 1},
		metertest.Counted(t, set, "apiserver_admission_step_admission_duration_seconds"))
}

func BenchmarkMeasured(b *testing.B) {
	chain := Chain{}
	for name := range halves {
		chain = append(chain, no{name: name})
	}
	m, a := Measure(chain, meter.New()), &Attributes{Operation: Create}
	for b.Loop() {
		if m.Admit(b.Context(), a) != nil || m.Validate(b.Context(), a) != nil {
			b.Fatal("refused")
		}
	}
}
