package integration

import (
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What patches and applies make of custom objects is judged as upstream does, in its order and as often.
func TestCustomResourcePatches(t *testing.T) {
	s := startServer(t)
	s.define(definition(t, "crontab"))
	ctx, c := t.Context(), s.crontabs()
	_, err := c.Create(ctx, crontab(t, "a", `{"cronSpec":"*","replicas":1}`), metav1.CreateOptions{FieldManager: "creator"})
	require.NoError(t, err)

	for patch, want := range map[string]string{
		`{"metadata":{"uid":"x"}}`:        `CronTab.stable.example.com "a" is invalid: metadata.uid: Invalid value: "x": field is immutable`,
		`{"metadata":[]}`:                 `json: cannot unmarshal array into Go value of type v1.ObjectMeta`,
		`{"apiVersion":"example.com/v1"}`: `CronTab.example.com "a" is invalid: apiVersion: Invalid value: "example.com/v1": must be stable.example.com/v1`,
		`{"apiVersion":""}`:               `Internal error occurred: Object 'apiVersion' is missing in 'object has no apiVersion field'`,
	} {
		_, err := c.Patch(ctx, "a", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		require.ErrorContains(t, err, want, patch)
	}
	_, err = c.Patch(ctx, "none", types.MergePatchType, []byte(`[]`), metav1.PatchOptions{})
	require.ErrorContains(t, err, `crontabs.stable.example.com "none" not found`)
	_, err = c.Patch(ctx, "a", types.StrategicMergePatchType, []byte(`{}`), metav1.PatchOptions{})
	require.ErrorContains(t, err, "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml")

	force := true
	applied, err := c.Patch(ctx, "a", types.ApplyPatchType, []byte(
		`{"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"name":"a","labels":{"l":null}},"spec":{"replicas":3}}`),
		metav1.PatchOptions{FieldManager: "applier", Force: &force})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"l": ""}, applied.GetLabels())
	_, err = c.Patch(ctx, "a", types.ApplyPatchType, []byte(
		`{"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"name":"a"},"spec":{"replicas":-1}}`),
		metav1.PatchOptions{FieldManager: "applier"})
	require.ErrorContains(t, err, "should be a non-negative integer")

	// Who applies the Scale shares the replicas with who applied the object, if they agree.
	scale := []byte(`{"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"a"},"spec":{"replicas":4}}`)
	_, err = c.Patch(ctx, "a", types.ApplyPatchType, scale, metav1.PatchOptions{FieldManager: "scaler"}, "scale")
	require.ErrorContains(t, err, `Apply failed with 1 conflict: conflict with "applier"`)
	_, err = c.Patch(ctx, "a", types.ApplyPatchType, scale, metav1.PatchOptions{FieldManager: "scaler", Force: &force}, "scale")
	require.NoError(t, err)
	_, err = c.Patch(ctx, "a", types.ApplyPatchType, []byte(
		`{"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"name":"a"},"spec":{"replicas":5}}`),
		metav1.PatchOptions{FieldManager: "applier"})
	require.ErrorContains(t, err, `conflict with "scaler" with subresource "scale": .spec.replicas`)
}
