package resource

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Warnings tell of what is legal and yet hardly meant.

// warnings collects them.
type warnings struct {
	isPod bool // and not a template
	all   []string
}

func (w *warnings) add(path *place, format string, args ...any) {
	w.all = append(w.all, path.String()+": "+fmt.Sprintf(format, args...))
}

// addIf adds one if it is warranted.
func (w *warnings) addIf(bad bool, path *place, format string, args ...any) {
	if bad {
		w.add(path, format, args...)
	}
}

// podWarnings are for new pods: people seldom change pods, and controllers do not read warnings.
func podWarnings(next, old *corev1.Pod) []string {
	if old != nil {
		return nil
	}
	return append(nameWarnings(next.Name, "the Pod's hostname"), locate(atSpec, func(spec *place) []string {
		w := warnings{isPod: true}
		w.spec(&next.Spec, next.Annotations, spec, atAnnotations)
		return w.all
	})...)
}

func podTemplateWarnings(t *corev1.PodTemplateSpec, path *place) []string {
	return locate(path, func(path *place) []string {
		var w warnings
		w.spec(&t.Spec, t.Annotations, path.Child("spec"), path.Child("metadata", "annotations"))
		return w.all
	})
}

func (w *warnings) spec(s *corev1.PodSpec, annotations map[string]string, spec, meta *place) {
	w.nodeLabels(s, spec)
	w.annotations(annotations, meta)
	w.volumes(s, spec.Child("volumes"))
	w.lists(s, spec)
	w.fractions(s.Overhead, spec.Child("overhead"))
	if s.SecurityContext == nil || s.SecurityContext.SeccompProfile == nil {
		w.profile(annotations, corev1.SeccompPodAnnotationKey, "non-functional in v1.27+", "seccompProfile", meta)
	}
	eachContainerAt(s, spec, func(c *corev1.Container, at *place) {
		sc, pod := c.SecurityContext, s.SecurityContext
		if sc == nil || sc.SeccompProfile == nil {
			w.containerProfile(annotations, corev1.SeccompContainerAnnotationKeyPrefix, c, "non-functional in v1.27+", "seccompProfile", meta)
		}
		// A pod's annotation has become its field by now, so the field does not tell who wrote it.
		silent := (sc == nil || sc.AppArmorProfile == nil) && (pod == nil || pod.AppArmorProfile == nil)
		if w.isPod || silent {
			w.containerProfile(annotations, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix, c, "deprecated since v1.30", "appArmorProfile", meta)
		}
		w.container(c, at)
	})
	w.ports(s, spec)
	negative := s.TerminationGracePeriodSeconds != nil && *s.TerminationGracePeriodSeconds < 0
	w.addIf(negative, spec.Child("terminationGracePeriodSeconds"), "must be >= 0; negative values are invalid and will be treated as 1")
	w.nullSelectors(s, spec)
}

// oldNodeLabels are labels of nodes that have had another name for long.
var oldNodeLabels = map[string]string{
	corev1.LabelFailureDomainBetaZone:   `deprecated since v1.17; use "topology.kubernetes.io/zone" instead`,
	corev1.LabelFailureDomainBetaRegion: `deprecated since v1.17; use "topology.kubernetes.io/region" instead`,
	corev1.LabelInstanceType:            `deprecated since v1.17; use "node.kubernetes.io/instance-type" instead`,
	"beta.kubernetes.io/os":             `deprecated since v1.14; use "kubernetes.io/os" instead`,
	"beta.kubernetes.io/arch":           `deprecated since v1.14; use "kubernetes.io/arch" instead`,
}

func (w *warnings) nodeLabels(s *corev1.PodSpec, spec *place) {
	for k := range sorted(s.NodeSelector) {
		m, old := oldNodeLabels[k]
		w.addIf(old, spec.Child("nodeSelector").Key(k), "%s", m)
	}
	if n := nodeAffinityOf(s); n != nil {
		at := spec.Child("affinity", "nodeAffinity")
		for i, t := range requiredNodeTerms(n) {
			w.nodeTerm(&t, at.Child(requiredTerms, "nodeSelectorTerms").Index(i))
		}
		for i, t := range n.PreferredDuringSchedulingIgnoredDuringExecution {
			w.nodeTerm(&t.Preference, at.Child(preferredTerms).Index(i).Child("preference"))
		}
	}
	for i, t := range s.TopologySpreadConstraints {
		at := spec.Child("topologySpreadConstraints").Index(i)
		w.oldKey(t.TopologyKey, at.Child("topologyKey"))
		w.addIf(t.LabelSelector == nil, at.Child("labelSelector"), "a null labelSelector results in matching no pod")
	}
}

func (w *warnings) oldKey(key string, path *place) {
	if m, old := oldNodeLabels[key]; old {
		w.add(path, "%s is %s", key, m)
	}
}

func (w *warnings) nodeTerm(t *corev1.NodeSelectorTerm, path *place) {
	for i, e := range t.MatchExpressions {
		at := path.Child("matchExpressions").Index(i)
		w.oldKey(e.Key, at.Child("key"))
		for j, v := range e.Values {
			for _, problem := range labelValueProblems(v) {
				w.add(at.Child("values").Index(j), "%s is invalid, %s", v, problem)
			}
		}
	}
}

func (w *warnings) annotations(annotations map[string]string, meta *place) {
	w.profile(annotations, "scheduler.alpha.kubernetes.io/critical-pod", "non-functional in v1.16+", "priorityClassName", meta)
	w.profile(annotations, "security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+", "sysctls", meta)
	w.profile(annotations, "security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+", "sysctls", meta)
}

// profile warns of an annotation that a field has replaced.
func (w *warnings) profile(annotations map[string]string, key, since, replacement string, meta *place) {
	if _, used := annotations[key]; used {
		w.add(meta.Key(key), "%s; use the %q field instead", since, replacement)
	}
}

func (w *warnings) containerProfile(annotations map[string]string, prefix string, c *corev1.Container, since, replacement string, meta *place) {
	if _, used := containerAnnotation(annotations, prefix, c); used {
		w.profile(annotations, prefix+c.Name, since, replacement, meta)
	}
}

func (w *warnings) volumes(s *corev1.PodSpec, path *place) {
	for i, v := range s.Volumes {
		at := path.Index(i)
		w.addIf(v.PhotonPersistentDisk != nil, at.Child("photonPersistentDisk"), "deprecated in v1.11, non-functional in v1.16+")
		w.addIf(v.GitRepo != nil, at.Child("gitRepo"), "deprecated in v1.11, and disabled by default in v1.33+")
		w.addIf(v.ScaleIO != nil, at.Child("scaleIO"), "deprecated in v1.16, non-functional in v1.22+")
		w.addIf(v.Flocker != nil, at.Child("flocker"), "deprecated in v1.22, non-functional in v1.25+")
		w.addIf(v.StorageOS != nil, at.Child("storageOS"), "deprecated in v1.22, non-functional in v1.25+")
		w.addIf(v.Quobyte != nil, at.Child("quobyte"), "deprecated in v1.22, non-functional in v1.25+")
		w.addIf(v.Glusterfs != nil, at.Child("glusterfs"), "deprecated in v1.25, non-functional in v1.26+")
		w.addIf(v.CephFS != nil, at.Child("cephfs"), "deprecated in v1.28, non-functional in v1.31+")
		w.addIf(v.RBD != nil, at.Child("rbd"), "deprecated in v1.28, non-functional in v1.31+")
		if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
			w.claim(&v.Ephemeral.VolumeClaimTemplate.Spec, at.Child("ephemeral", "volumeClaimTemplate", "spec"))
		}
	}
	w.sharedPaths(s.Volumes)
}

// lists warns of entries that strategic merge would take for one.
func (w *warnings) lists(s *corev1.PodSpec, spec *place) {
	ips, names := taken{}, taken{}
	for i, h := range s.HostAliases {
		w.addIf(!ips.claim(h.IP), spec.Child("hostAliases").Index(i).Child("ip"), "duplicate ip %q", h.IP)
	}
	for i, r := range s.ImagePullSecrets {
		w.addIf(!names.claim(r.Name), spec.Child("imagePullSecrets").Index(i).Child("name"), "duplicate name %q", r.Name)
	}
	for i, r := range s.ImagePullSecrets {
		w.addIf(r.Name == "", spec.Child("imagePullSecrets").Index(i).Child("name"), "invalid empty name %q", r.Name)
	}
}

// fractions warns of parts of a byte.
func (w *warnings) fractions(list corev1.ResourceList, path *place) {
	for _, name := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		q := list[name]
		if q.MilliValue()%1000 != 0 {
			w.add(path.Key(string(name)), "fractional byte value %q is invalid, must be an integer", q.String())
		}
	}
}

func (w *warnings) container(c *corev1.Container, path *place) {
	w.fractions(c.Resources.Limits, path.Child("resources", "limits"))
	w.fractions(c.Resources.Requests, path.Child("resources", "requests"))
	names := taken{}
	for i, v := range c.Env {
		if names.claim(v.Name) {
			continue
		}
		// To extend an earlier value (PATH=$(PATH):/bin) is what the repetition is for.
		ref := "$(" + v.Name + ")"
		extends := v.ValueFrom == nil && v.Value != ref && strings.Contains(v.Value, ref)
		w.addIf(!extends, path.Child("env").Index(i), "hides previous definition of %q, which may be dropped when using apply", v.Name)
	}
}

// namedPort is a port and where it stands.
type namedPort struct {
	at   *place
	port corev1.ContainerPort
}

// ports warns of ports that two containers, which share one network, both name.
func (w *warnings) ports(s *corev1.PodSpec, spec *place) {
	type key struct {
		number   int32
		protocol corev1.Protocol
	}
	seen := map[key][]namedPort{}
	eachContainerAt(s, spec, func(c *corev1.Container, path *place) {
		for i, p := range c.Ports {
			at := path.Child("ports").Index(i)
			if p.HostIP != "" && p.HostPort == 0 {
				w.add(at, "hostIP set without hostPort: %+v", p)
			}
			same := key{p.ContainerPort, p.Protocol}
			for _, other := range seen[same] {
				w.samePort(namedPort{at, p}, other)
			}
			seen[same] = append(seen[same], namedPort{at, p})
		}
	})
}

func (w *warnings) samePort(p, other namedPort) {
	a, b := p.port, other.port
	switch {
	case a.HostIP == b.HostIP && a.HostPort == b.HostPort:
		w.add(p.at, "duplicate port definition with %s", other.at)
	case a.HostPort == 0 || b.HostPort == 0:
		w.add(p.at, "overlapping port definition with %s", other.at)
	case a.HostPort == b.HostPort && (a.HostIP == "") != (b.HostIP == ""):
		w.add(p.at, "dangerously ambiguous port definition with %s", other.at)
	}
}

func (w *warnings) nullSelectors(s *corev1.PodSpec, spec *place) {
	if s.Affinity == nil {
		return
	}
	check := func(must []corev1.PodAffinityTerm, should []corev1.WeightedPodAffinityTerm, path *place) {
		null := func(l *metav1.LabelSelector, path *place) {
			w.addIf(l == nil, path.Child("labelSelector"), "a null labelSelector results in matching no pod")
		}
		for i, t := range must {
			null(t.LabelSelector, path.Child(requiredTerms).Index(i))
		}
		for i, t := range should {
			null(t.PodAffinityTerm.LabelSelector, path.Child(preferredTerms).Index(i).Child("podAffinityTerm"))
		}
	}
	if a := s.Affinity.PodAffinity; a != nil {
		check(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution, spec.Child("affinity", "podAffinity"))
	}
	if a := s.Affinity.PodAntiAffinity; a != nil {
		check(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution, spec.Child("affinity", "podAntiAffinity"))
	}
}
