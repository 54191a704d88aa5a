package resource

import (
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func nodes() *Row {
	return Row{
		Resource: "nodes", Singular: "node", Kind: "Node",
		ShortNames:          []string{"no"},
		Versions:            []Version{servedAs[corev1.Node, corev1.NodeList](corev1.SchemeGroupVersion)},
		Prefix:              "minions",
		Columns:             nodeColumns(),
		UnconditionalUpdate: true,
		Subresources: []Subresource{{
			Name: "proxy", Kind: "NodeProxyOptions", GroupVersion: corev1.SchemeGroupVersion,
			Verbs: []string{"create", "delete", "get", "patch", "update"},
		}},
	}.with(rules(Rules[*corev1.Node]{
		Default:       defaultNode,
		PrepareCreate: prepareNodeCreate,
		PrepareUpdate: prepareNodeUpdate,
		Validate:      validateNode,
		ValidateUpdate: func(next, old *corev1.Node) field.ErrorList {
			return append(validateNode(next), validateNodeUpdate(next, old)...)
		},
		Warnings:       func(next, _ *corev1.Node) []string { return nodeWarnings(next) },
		PrepareStatus:  prepareNodeStatus,
		ValidateStatus: validateNodeUpdate,
		Fields: func(n *corev1.Node) map[string]string {
			return map[string]string{"spec.unschedulable": strconv.FormatBool(n.Spec.Unschedulable)}
		},
		Cells: nodeCells,
	}))
}

// prepareNodeCreate drops the configuration of kubelets by the API, which came and went, and what belongs to a feature that is off
// in v1.37: InPlacePodVerticalScalingSchedulerPreemption.
func prepareNodeCreate(n *corev1.Node) {
	n.Spec.ConfigSource, n.Spec.PodPreemptionPolicy, n.Status.Config = nil, nil, nil
	offerAll(n)
}

// prepareNodeUpdate drops the same, but for what the node has from then.
func prepareNodeUpdate(next, old *corev1.Node) {
	next.Status = old.Status
	if old.Spec.ConfigSource == nil {
		next.Spec.ConfigSource = nil
	}
	if old.Spec.PodPreemptionPolicy == nil {
		next.Spec.PodPreemptionPolicy = nil
	}
}

func prepareNodeStatus(next, old *corev1.Node) {
	next.Spec = old.Spec
	if old.Status.Config == nil {
		next.Status.Config = nil
	}
	offerAll(next)
}

// offerAll lets a node offer all it has if it says that it offers nothing, as one that says nothing does. No names of an image are kept
// as null.
func offerAll(n *corev1.Node) {
	if len(n.Status.Allocatable) == 0 && n.Status.Capacity != nil {
		n.Status.Allocatable = n.Status.Capacity.DeepCopy()
	}
	for i := range n.Status.Images {
		noneIfEmpty(&n.Status.Images[i].Names)
	}
}

// defaultNode lets a node offer all it has, and keeps podCIDR and podCIDRs, the same fact from before and after
// there were two address families, in step.
func defaultNode(n *corev1.Node) {
	if n.Status.Allocatable == nil && n.Status.Capacity != nil {
		n.Status.Allocatable = n.Status.Capacity.DeepCopy()
	}
	if n.Spec.PodCIDR != "" && (len(n.Spec.PodCIDRs) == 0 || n.Spec.PodCIDRs[0] != n.Spec.PodCIDR) {
		n.Spec.PodCIDRs = []string{n.Spec.PodCIDR}
	}
	if len(n.Spec.PodCIDRs) > 0 {
		n.Spec.PodCIDR = n.Spec.PodCIDRs[0]
	}
}

func nodeWarnings(n *corev1.Node) []string {
	var warnings []string
	if n.Spec.ConfigSource != nil {
		// DynamicKubeletConfig went with v1.26.
		warnings = append(warnings, "spec.configSource: the feature is removed")
	}
	if n.Spec.DoNotUseExternalID != "" {
		warnings = append(warnings, "spec.externalID: this field is deprecated, and is unused by Kubernetes")
	}
	return warnings
}

func nodeColumns() []metav1.TableColumnDefinition {
	status, info := corev1.NodeStatus{}.SwaggerDoc(), corev1.NodeSystemInfo{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		nameColumn,
		column("Status", "The status of the node"),
		column("Roles", "The roles of the node"),
		ageColumn,
		column("Version", info["kubeletVersion"]),
		wide("Internal-IP", status["addresses"]),
		wide("External-IP", status["addresses"]),
		wide("OS-Image", info["osImage"]),
		wide("Kernel-Version", info["kernelVersion"]),
		wide("Container-Runtime", info["containerRuntimeVersion"]),
	}
}

func nodeCells(n *corev1.Node, now time.Time) []any {
	info := n.Status.NodeInfo
	kernel := orUnknown(info.KernelVersion)
	if info.Architecture != "" {
		kernel += " (" + info.Architecture + ")"
	}
	return []any{
		n.Name, nodeStatus(n), nodeRoles(n), age(n, now), info.KubeletVersion,
		nodeAddress(n, corev1.NodeInternalIP), nodeAddress(n, corev1.NodeExternalIP),
		orUnknown(info.OSImage), kernel, orUnknown(info.ContainerRuntimeVersion),
	}
}

func nodeStatus(n *corev1.Node) string {
	status := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		status = "NotReady"
		if c.Status == corev1.ConditionTrue {
			status = "Ready"
		}
	}
	if n.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

// nodeRoles reads the labels that installers give a node; Kubernetes itself gives them no meaning.
func nodeRoles(n *corev1.Node) string {
	roles := sets.New[string]()
	for label, value := range n.Labels {
		if role, ok := strings.CutPrefix(label, "node-role.kubernetes.io/"); ok && role != "" {
			roles.Insert(role)
		}
		if label == "kubernetes.io/role" && value != "" {
			roles.Insert(value)
		}
	}
	if len(roles) == 0 {
		return "<none>"
	}
	return strings.Join(sets.List(roles), ",")
}

func nodeAddress(n *corev1.Node, kind corev1.NodeAddressType) string {
	i := slices.IndexFunc(n.Status.Addresses, func(a corev1.NodeAddress) bool { return a.Type == kind })
	if i < 0 {
		return "<none>"
	}
	return n.Status.Addresses[i].Address
}

func orUnknown(s string) string {
	if s == "" {
		return "<unknown>"
	}
	return s
}
