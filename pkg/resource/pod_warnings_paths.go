package resource

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Two files of a volume may be meant for one path, or one for a path below the other: then only one of them is there.

// writtenPath is a path that a volume's source writes; source is empty where the volume has only one.
type writtenPath struct{ path, source string }

func (p writtenPath) String() string {
	if p.source == "" {
		return fmt.Sprintf("%q", p.path)
	}
	return fmt.Sprintf("%q (%s)", p.path, p.source)
}

// sharedPaths warns of such paths.
func (w *warnings) sharedPaths(volumes []corev1.Volume) {
	for _, v := range volumes {
		switch {
		case v.ConfigMap != nil:
			w.overlaps(v.Name, fmt.Sprintf("ConfigMap %q", v.ConfigMap.Name), pathsOf(v.ConfigMap.Items, ""))
		case v.Secret != nil:
			w.overlaps(v.Name, fmt.Sprintf("Secret %q", v.Secret.SecretName), pathsOf(v.Secret.Items, ""))
		case v.DownwardAPI != nil:
			w.overlaps(v.Name, "DownwardAPI", filesOf(v.DownwardAPI.Items, ""))
		case v.Projected != nil:
			var all []writtenPath
			for i := range v.Projected.Sources {
				s := &v.Projected.Sources[i]
				if *s == (corev1.VolumeProjection{}) {
					w.all = append(w.all, fmt.Sprintf("volume %q (Projected) has no sources provided", v.Name))
				}
				all = append(all, pathsOfProjection(s)...)
			}
			w.overlaps(v.Name, "Projected", all)
		}
	}
}

// overlaps compares each path with those before it.
func (w *warnings) overlaps(volume, kind string, paths []writtenPath) {
	for i := range paths {
		p := &paths[i]
		p.path = strings.TrimRight(p.path, "/")
		for _, before := range paths[:i] {
			if p.path != "" && before.path != "" && (within(before.path, p.path) || within(p.path, before.path)) {
				w.all = append(w.all, fmt.Sprintf("volume %q (%s): overlapping paths: %s with %s", volume, kind, p, before))
			}
		}
	}
}

func within(path, top string) bool { return strings.HasPrefix(path+"/", top+"/") }

func pathsOf(items []corev1.KeyToPath, source string) []writtenPath {
	paths := make([]writtenPath, 0, len(items))
	for _, item := range items {
		paths = append(paths, writtenPath{item.Path, source})
	}
	return paths
}

func filesOf(items []corev1.DownwardAPIVolumeFile, source string) []writtenPath {
	paths := make([]writtenPath, 0, len(items))
	for _, item := range items {
		paths = append(paths, writtenPath{item.Path, source})
	}
	return paths
}

func pathsOfProjection(s *corev1.VolumeProjection) []writtenPath {
	switch {
	case s.ConfigMap != nil && s.ConfigMap.Items != nil:
		return pathsOf(s.ConfigMap.Items, fmt.Sprintf("ConfigMap %q", s.ConfigMap.Name))
	case s.Secret != nil && s.Secret.Items != nil:
		return pathsOf(s.Secret.Items, fmt.Sprintf("Secret %q", s.Secret.Name))
	case s.DownwardAPI != nil && s.DownwardAPI.Items != nil:
		return filesOf(s.DownwardAPI.Items, "DownwardAPI")
	case s.ServiceAccountToken != nil:
		return []writtenPath{{s.ServiceAccountToken.Path, "ServiceAccountToken"}}
	case s.ClusterTrustBundle != nil:
		name := s.ClusterTrustBundle.Name
		if name == nil {
			name = s.ClusterTrustBundle.SignerName
		}
		if name == nil {
			return nil
		}
		return []writtenPath{{s.ClusterTrustBundle.Path, fmt.Sprintf("ClusterTrustBundle %q", *name)}}
	case s.PodCertificate != nil:
		c := s.PodCertificate
		return []writtenPath{
			{c.CertificateChainPath, "PodCertificate chain"}, {c.KeyPath, "PodCertificate key"},
			{c.CredentialBundlePath, "PodCertificate credential bundle"},
		}
	}
	return nil
}
