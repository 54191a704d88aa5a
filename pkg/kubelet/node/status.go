package node

import (
	"cmp"
	"context"
	"slices"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type coordination = coordinationv1.Lease

// maxImages is how many images a status lists, the largest first.
const maxImages = 50

// fill sets what of the status comes from the machine.
func (k *Keeper) fill(s *corev1.NodeStatus) {
	s.Capacity, s.Allocatable = k.Facts.Capacity.DeepCopy(), k.Facts.Capacity.DeepCopy()
	s.NodeInfo = k.Facts.Info
	s.NodeInfo.KubeletVersion = k.Version
	s.DaemonEndpoints.KubeletEndpoint.Port = k.Port
	s.Addresses = nil
	for _, ip := range k.IPs {
		s.Addresses = append(s.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip})
	}
	s.Addresses = append(s.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: k.Name})
}

func (k *Keeper) images(ctx context.Context) ([]corev1.ContainerImage, error) {
	list, err := k.Runtime.Images(ctx)
	if err != nil {
		return nil, err
	}
	var out []corev1.ContainerImage
	for _, i := range list {
		names := slices.Concat(i.RepoDigests, i.RepoTags)
		if len(names) > 0 {
			out = append(out, corev1.ContainerImage{Names: names, SizeBytes: int64(i.Size)})
		}
	}
	slices.SortFunc(out, func(a, b corev1.ContainerImage) int {
		return cmp.Or(cmp.Compare(b.SizeBytes, a.SizeBytes), cmp.Compare(a.Names[0], b.Names[0]))
	})
	return out[:min(len(out), maxImages)], nil
}

// healthy are the conditions of a node without pressure. Nothing on this node measures pressure yet: a node that
// is short of memory or disk shows it in its pods.
var healthy = []corev1.NodeCondition{
	{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory", Message: "kubelet has sufficient memory available"},
	{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "kubelet has no disk pressure"},
	{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID", Message: "kubelet has sufficient PID available"},
	{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"},
}

// conditions returns the kubelet's conditions, over those of others. A fault makes the node not ready.
func conditions(old []corev1.NodeCondition, fault string, now metav1.Time) []corev1.NodeCondition {
	out := slices.Clone(healthy)
	if fault != "" {
		ready := &out[len(out)-1]
		ready.Status, ready.Reason, ready.Message = corev1.ConditionFalse, "KubeletNotReady", fault
	}
	for i := range out {
		out[i].LastHeartbeatTime, out[i].LastTransitionTime = now, now
		if had := find(old, out[i].Type); had != nil && had.Status == out[i].Status {
			out[i].LastTransitionTime = had.LastTransitionTime
		}
	}
	for _, c := range old {
		if find(out, c.Type) == nil {
			out = append(out, c)
		}
	}
	return out
}

func find(list []corev1.NodeCondition, t corev1.NodeConditionType) *corev1.NodeCondition {
	if i := slices.IndexFunc(list, func(c corev1.NodeCondition) bool { return c.Type == t }); i >= 0 {
		return &list[i]
	}
	return nil
}

// turns are the events of a condition that became true or false.
var turns = map[corev1.NodeConditionType]map[corev1.ConditionStatus]string{
	corev1.NodeMemoryPressure: {corev1.ConditionFalse: "NodeHasSufficientMemory"},
	corev1.NodeDiskPressure:   {corev1.ConditionFalse: "NodeHasNoDiskPressure"},
	corev1.NodePIDPressure:    {corev1.ConditionFalse: "NodeHasSufficientPID"},
	corev1.NodeReady:          {corev1.ConditionTrue: "NodeReady", corev1.ConditionFalse: "NodeNotReady"},
}

func (k *Keeper) tellTurns(old, now []corev1.NodeCondition) {
	for _, c := range now {
		reason := turns[c.Type][c.Status]
		had := find(old, c.Type)
		// A status that is written for the first time tells about everything.
		if reason == "" || had != nil && had.Status == c.Status && !k.written.IsZero() || k.written.IsZero() && reason == "NodeNotReady" {
			continue
		}
		k.event(corev1.EventTypeNormal, reason, "Node "+k.Name+" status is now: "+reason)
	}
}
