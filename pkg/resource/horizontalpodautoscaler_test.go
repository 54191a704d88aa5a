package resource

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"sigs.k8s.io/yaml"
)

// TestTheFirstVersionCarriesAll: what a client of autoscaling/v1 reads and writes back is what was there, and the annotations that
// carry what it has no fields for are those of upstream, as other clients read them.
func TestTheFirstVersionCarriesAll(t *testing.T) {
	input, err := os.ReadFile("testdata/rows/horizontalpodautoscaler.yaml")
	require.NoError(t, err)
	steps := strings.Split(string(input), "\n---\n")
	want, status := &autoscalingv2.HorizontalPodAutoscaler{}, &autoscalingv2.HorizontalPodAutoscaler{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(steps[1]), want))
	require.NoError(t, yaml.UnmarshalStrict([]byte(steps[2]), status))
	want.Status = status.Status
	want.Annotations = map[string]string{"kept": "yes"}

	older, err := autoscalerToV1(want.DeepCopy())
	require.NoError(t, err)
	text, err := yaml.Marshal(older)
	require.NoError(t, err)
	golden(t, "testdata/autoscaler-v1.yaml", string(text))

	read := &autoscalingv1.HorizontalPodAutoscaler{}
	require.NoError(t, yaml.UnmarshalStrict(text, read))
	got, err := autoscalerToV2(read)
	require.NoError(t, err)
	back := got.(*autoscalingv2.HorizontalPodAutoscaler)
	back.TypeMeta = want.TypeMeta
	// The metric of cpu, which has a field, comes last.
	want.Spec.Metrics = append(want.Spec.Metrics[1:], want.Spec.Metrics[0])
	require.True(t, same(want, back), cmp.Diff(want, back))
}

// TestTheFirstVersionReadsWhatUsersWrote: annotations that make no sense are as good as none.
func TestTheFirstVersionReadsWhatUsersWrote(t *testing.T) {
	a := &autoscalingv1.HorizontalPodAutoscaler{}
	a.Annotations = map[string]string{metricsAnnotation: "{", statusesAnnotation: `"x"`, conditionsAnnotation: "7", behaviorAnnotation: "null"}
	got, err := autoscalerToV2(a)
	require.NoError(t, err)
	require.Equal(t, &autoscalingv2.HorizontalPodAutoscaler{}, got)
}

// TestTheFirstVersionGetsNoPolicies: rules that come in an annotation have to say by which policies; those of newer versions get some.
func TestTheFirstVersionGetsNoPolicies(t *testing.T) {
	a := &autoscalingv1.HorizontalPodAutoscaler{}
	a.Name, a.Namespace, a.Spec.MaxReplicas = "web", "default", 3
	a.Spec.ScaleTargetRef = autoscalingv1.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
	a.Annotations = map[string]string{behaviorAnnotation: `{"ScaleUp":{"StabilizationWindowSeconds":5}}`}
	got, err := autoscalerToV2(a)
	require.NoError(t, err)
	row := horizontalPodAutoscalers()
	row.Default(got)
	require.EqualError(t, row.Validate(got).ToAggregate(), "spec.behavior.scaleUp.policies: Required value: must specify at least one Policy")
}
