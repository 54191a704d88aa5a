package resource

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestBareShowsGoNamesOfGroupsAndJSONNamesOfWhatIsCommon(t *testing.T) {
	mode := corev1.PersistentVolumeFilesystem
	claims := []corev1.PersistentVolumeClaim{{
		TypeMeta:   metav1.TypeMeta{Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"},
			Selector:    &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse("1Gi")}},
			VolumeMode:  &mode,
		},
	}}
	text, err := json.Marshal(bare(claims))
	require.NoError(t, err)
	require.Equal(t, `[{"name":"data","Spec":{"AccessModes":["ReadWriteOnce"],"Selector":{"matchLabels":{"a":"b"}},`+
		`"Resources":{"Limits":null,"Requests":{"storage":"1Gi"}},"VolumeName":"","StorageClassName":null,"VolumeMode":"Filesystem",`+
		`"DataSource":null,"DataSourceRef":null,"VolumeAttributesClassName":null},"Status":{"Phase":"","AccessModes":null,"Capacity":null,`+
		`"Conditions":null,"AllocatedResources":null,"AllocatedResourceStatuses":null,"CurrentVolumeAttributesClassName":null,`+
		`"ModifyVolumeStatus":null,"HealthStatus":null}}]`, string(text))
}
