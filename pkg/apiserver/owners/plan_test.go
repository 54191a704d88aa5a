package owners

import (
	"testing"

	"bonsai/pkg/resource"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
)

// Which built-in kinds are always left to the library when they are applied: the schemas know all fields of the Go types, and all lists
// with keys have them, but for the secrets of a service account and some conditions, whose keys may be left out.
func TestPlansOfBuiltInKinds(t *testing.T) {
	types := applyconfigurations.NewTypeConverter(scheme.Scheme)
	var raw, refusing []string
	for _, row := range resource.Table() {
		if !scheme.Scheme.Recognizes(row.GVK()) {
			continue
		}
		obj := row.StorageVersion().New()
		obj.GetObjectKind().SetGroupVersionKind(row.GVK())
		empty, err := types.ObjectToTyped(obj)
		require.NoError(t, err)
		p := NewPlan(obj, empty, "status")
		if p.raw {
			raw = append(raw, row.Kind)
		}
		if p.refuses {
			refusing = append(refusing, row.Kind)
		}
	}
	require.Equal(t, []string{"ServiceAccount", "FlowSchema", "PriorityLevelConfiguration"}, refusing)
	require.Equal(t, []string{"ControllerRevision", "DeviceClass", "ResourceClaim", "ResourceClaimTemplate"}, raw)
}
