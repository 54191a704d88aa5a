package volume

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"bonsai/pkg/kubelet/spec"
)

// api is Objects with one config map and one secret.
type api struct {
	data   map[string]string
	secret map[string][]byte
}

func (a *api) ConfigMap(_, name string) (*corev1.ConfigMap, error) {
	if name != "cm" {
		return nil, apierrors.NewNotFound(corev1.Resource("configmap"), name)
	}
	return &corev1.ConfigMap{Data: a.data}, nil
}

func (a *api) Secret(_, name string) (*corev1.Secret, error) {
	if name != "s" {
		return nil, apierrors.NewNotFound(corev1.Resource("secret"), name)
	}
	return &corev1.Secret{Data: a.secret}, nil
}

// noMounts leaves tmpfs out: making one needs root.
type noMounts struct{}

func (noMounts) Tmpfs(string, int64) error { return nil }
func (noMounts) Unmount(string) error      { return nil }
func (noMounts) Mounted(string) bool       { return false }

func (noMounts) Bind(*os.File, string) error { return nil }

func (noMounts) Below(string) ([]string, error) { return nil, nil }

func manager(t *testing.T) (*Manager, *api) {
	a := &api{data: map[string]string{"k": "1", "l": "2"}, secret: map[string][]byte{"p": []byte("3")}}
	return &Manager{Node: &spec.Node{RootDir: t.TempDir()}, Objects: a, Mounts: noMounts{}}, a
}

func podWith(vs ...corev1.Volume) *corev1.Pod {
	p := &corev1.Pod{}
	p.Name, p.Namespace, p.UID = "p", "default", "u"
	p.Labels = map[string]string{"a": "b"}
	p.Spec.Volumes = vs
	return p
}

func read(t require.TestingT, path ...string) string {
	data, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(data)
}

func TestConfigMapVolumeFollowsItsObject(t *testing.T) {
	m, a := manager(t)
	pod := podWith(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}, DefaultMode: ptr.To[int32](0o600)}}})
	r := m.Sync(t.Context(), pod, nil, time.Now())
	require.Empty(t, r.Faults)
	dir := r.Paths["v"]
	require.Equal(t, "1", read(t, dir, "k"))
	info, err := os.Stat(filepath.Join(dir, "k"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	generation, err := os.Readlink(filepath.Join(dir, dataLink))
	require.NoError(t, err)

	m.Sync(t.Context(), pod, nil, time.Now())
	same, err := os.Readlink(filepath.Join(dir, dataLink))
	require.NoError(t, err)
	require.Equal(t, generation, same, "what did not change is not written")

	a.data = map[string]string{"k": "new"}
	m.Sync(t.Context(), pod, nil, time.Now())
	require.Equal(t, "new", read(t, dir, "k"))
	require.NoFileExists(t, filepath.Join(dir, "l"))
	require.NoDirExists(t, filepath.Join(dir, generation))
	require.NoError(t, m.TearDown(pod.UID))
	require.NoDirExists(t, m.Node.PodDir(pod))
}

func TestFaults(t *testing.T) {
	optional := ptr.To(true)
	cm := func(name string, o *bool, items ...corev1.KeyToPath) corev1.VolumeSource {
		return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Optional: o, Items: items}}
	}
	for _, test := range []struct {
		name   string
		source corev1.VolumeSource
		want   string
	}{
		{"absent", cm("x", nil), `MountVolume.SetUp failed for volume "v" : configmap "x" not found`},
		{"absent, optional", cm("x", optional), ""},
		{"key absent", cm("cm", nil, corev1.KeyToPath{Key: "z", Path: "z"}), `MountVolume.SetUp failed for volume "v" : references non-existent config key: z`},
		{"key absent, optional", cm("cm", optional, corev1.KeyToPath{Key: "z", Path: "z"}), ""},
		{"not supported", corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{}},
			`MountVolume.SetUp failed for volume "v" : the volume's type is not supported by this node yet: use emptyDir, configMap, secret, downwardAPI, projected or hostPath`},
		{"not a directory", corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/dev/null", Type: ptr.To(corev1.HostPathDirectory)}},
			`MountVolume.SetUp failed for volume "v" : hostPath type check failed: /dev/null is not a directory`},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, _ := manager(t)
			r := m.Sync(t.Context(), podWith(corev1.Volume{Name: "v", VolumeSource: test.source}), nil, time.Now())
			if test.want == "" {
				require.Empty(t, r.Faults)
				return
			}
			require.Len(t, r.Faults, 1)
			require.Equal(t, test.want, r.Faults[0].Event())
		})
	}
}

func TestProjectedJoinsItsSources(t *testing.T) {
	m, _ := manager(t)
	pod := podWith(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}, Items: []corev1.KeyToPath{{Key: "k", Path: "deep/er/k"}}}},
		{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}},
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"}}}}},
	}}}})
	r := m.Sync(t.Context(), pod, nil, time.Now())
	require.Empty(t, r.Faults)
	require.Equal(t, "1", read(t, r.Paths["v"], "deep/er/k"))
	require.Equal(t, "3", read(t, r.Paths["v"], "p"))
	require.Equal(t, `a="b"`, read(t, r.Paths["v"], "labels"))
}

// TestReplace: after any sequence of contents the directory shows the last one and nothing else.
func TestReplace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "replace")
		require.NoError(t, err)
		defer os.RemoveAll(dir)
		names := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c/d", "c/e", "f"}), rapid.ID[string])
		var last []string
		for range rapid.IntRange(1, 4).Draw(t, "times") {
			last = names.Draw(t, "names")
			c := content{}
			for _, n := range last {
				c[n] = file{data: []byte(n), mode: 0o644, uid: -1, gid: -1}
			}
			require.NoError(t, replace(dir, c))
		}
		seen := 0
		require.NoError(t, filepath.WalkDir(filepath.Join(dir, mustLink(t, dir)), func(_ string, d os.DirEntry, err error) error {
			if !d.IsDir() {
				seen++
			}
			return err
		}))
		require.Equal(t, len(last), seen)
		for _, n := range last {
			require.Equal(t, n, read(t, dir, n))
		}
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		tops := map[string]bool{dataLink: true, mustLink(t, dir): true}
		for _, n := range last {
			tops[filepath.Clean(firstElement(n))] = true
		}
		require.Len(t, entries, len(tops))
	})
}

func mustLink(t require.TestingT, dir string) string {
	l, err := os.Readlink(filepath.Join(dir, dataLink))
	require.NoError(t, err)
	return l
}

func firstElement(p string) string {
	for dir := filepath.Dir(p); dir != "."; dir = filepath.Dir(dir) {
		p = dir
	}
	return p
}
