package resource

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// pods is the row of the kind that all the others exist for.
func pods() *Row {
	return Row{
		Resource: "pods", Singular: "pod", Kind: "Pod",
		ShortNames: []string{"po"}, Categories: []string{"all"},
		Namespaced:          true,
		Versions:            []Version{servedAs[corev1.Pod, corev1.PodList](corev1.SchemeGroupVersion)},
		Prefix:              "pods",
		Indexed:             []string{"spec.nodeName", "status.phase"},
		Columns:             podColumns(),
		Subresources:        podSubresources(),
		DeleteReturnsObject: true,
		UnconditionalUpdate: true,
	}.with(rules(Rules[*corev1.Pod]{
		Default:        defaultPod,
		PrepareCreate:  preparePodCreate,
		Sign:           signPod,
		PrepareUpdate:  preparePodUpdate,
		Validate:       validatePodCreate,
		ValidateUpdate: validatePodUpdate,
		Alike:          podsAlike,
		Warnings:       podWarnings,
		Fields:         podFields,
		Cells:          podCells,
		RowConditions:  podRowConditions,
		PrepareStatus:  preparePodStatus,
		ValidateStatus: validatePodStatusUpdate,
		Grace:          podGrace,
	}))
}

// podsAlike: only the names of claims that are made for ephemeral volumes contain the pod's.
func podsAlike(p *corev1.Pod) bool {
	return !slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.Ephemeral != nil })
}

// podSubresources are all but status. Two of them, ephemeralcontainers and resize, are updates of the pod itself.
func podSubresources() []Subresource {
	v1 := corev1.SchemeGroupVersion
	connect, update := []string{"create", "get"}, []string{"get", "patch", "update"}
	line := func(name, kind string, gv schema.GroupVersion, verbs ...string) Subresource {
		return Subresource{Name: name, Kind: kind, GroupVersion: gv, Verbs: verbs}
	}
	ephemeral := line("ephemeralcontainers", "Pod", v1, update...)
	ephemeral.Update = &Status{
		Prepare:  two(prepareEphemeralContainers),
		Validate: twoErrs(validateEphemeralContainersUpdate),
	}
	resize := line("resize", "Pod", v1, update...)
	resize.Update = &Status{Prepare: two(preparePodResize), Validate: twoErrs(validatePodResize)}
	return []Subresource{
		line("attach", "PodAttachOptions", v1, connect...),
		line("binding", "Binding", v1, "create"),
		ephemeral,
		line("eviction", "Eviction", policyv1.SchemeGroupVersion, "create"),
		line("exec", "PodExecOptions", v1, connect...),
		line("log", "Pod", v1, "get"),
		line("portforward", "PodPortForwardOptions", v1, connect...),
		line("proxy", "PodProxyOptions", v1, "create", "delete", "get", "patch", "update"),
		resize,
	}
}

// podFields are the selectable fields; a kubelet watches its own pods by spec.nodeName.
func podFields(p *corev1.Pod) map[string]string {
	return map[string]string{
		"spec.nodeName":            p.Spec.NodeName,
		"spec.restartPolicy":       string(p.Spec.RestartPolicy),
		"spec.schedulerName":       p.Spec.SchedulerName,
		"spec.serviceAccountName":  p.Spec.ServiceAccountName,
		"spec.hostNetwork":         strconv.FormatBool(p.Spec.HostNetwork),
		"status.phase":             string(p.Status.Phase),
		"status.podIP":             p.Status.PodIP,
		"status.podIPs":            "", // has a name, and never a value
		"status.nominatedNodeName": p.Status.NominatedNodeName,
	}
}

// podGrace is how long a pod may take to end. A pod that no node has, or whose containers have ended, needs none.
func podGrace(p *corev1.Pod, asked *int64) int64 {
	if p.Spec.NodeName == "" || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
		return 0
	}
	if asked == nil {
		asked = p.Spec.TerminationGracePeriodSeconds
	}
	switch {
	case asked == nil:
		return 0
	case *asked < 0:
		return 1
	}
	return *asked
}

// preparePodCreate gives a new pod its first status: a client may not claim to know better.
func preparePodCreate(p *corev1.Pod) {
	p.Generation = 1
	p.Status = corev1.PodStatus{Phase: corev1.PodPending}
	if len(p.Spec.SchedulingGates) > 0 {
		p.Status.Conditions = []corev1.PodCondition{{
			Type:    corev1.PodScheduled,
			Status:  corev1.ConditionFalse,
			Reason:  corev1.PodReasonSchedulingGated,
			Message: "Scheduling is blocked due to non-empty scheduling gates",
		}}
	}
	dropOffFields(&p.Spec)
	mergeLabelKeys(p)
	takeAppArmorAnnotations(p)
	defaultPodResources(p)
	p.Status.QOSClass = podQOS(&p.Spec)
}

// signPod says since when a gated pod waits.
func signPod(p *corev1.Pod, by Signature) {
	for i := range p.Status.Conditions {
		p.Status.Conditions[i].LastTransitionTime = by.Now
	}
}

func preparePodUpdate(next, old *corev1.Pod) {
	next.Status = *old.Status.DeepCopy()
	keepPodResources(next, old)
	dropOffFields(&next.Spec)
	bumpPodGeneration(next, old)
}

// bumpPodGeneration counts the versions of the spec, which the kubelet answers with status.observedGeneration.
func bumpPodGeneration(next, old *corev1.Pod) {
	raiseGeneration(next, old, !same(next.Spec, old.Spec))
}
