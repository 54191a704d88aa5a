package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestConditions(t *testing.T) {
	one := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	two := metav1.NewTime(one.Add(time.Hour))
	others := []corev1.NodeCondition{{Type: "NetworkUnavailable", Status: corev1.ConditionFalse}}
	first := conditions(others, "container runtime network not ready: x", one)
	ready := find(first, corev1.NodeReady)
	require.Equal(t, corev1.ConditionFalse, ready.Status)
	require.Equal(t, "KubeletNotReady", ready.Reason)
	require.NotNil(t, find(first, "NetworkUnavailable"), "a condition of somebody else stays")

	second := conditions(first, "", two)
	require.Equal(t, "kubelet is posting ready status", find(second, corev1.NodeReady).Message)
	require.Equal(t, two, find(second, corev1.NodeReady).LastTransitionTime)
	memory := find(second, corev1.NodeMemoryPressure)
	require.Equal(t, one, memory.LastTransitionTime, "what did not turn keeps its time")
	require.Equal(t, two, memory.LastHeartbeatTime)

	a, b := &corev1.NodeStatus{Conditions: second}, &corev1.NodeStatus{Conditions: conditions(second, "", metav1.NewTime(two.Add(time.Minute)))}
	require.True(t, equal(a, b), "a heartbeat alone is no change")
	require.False(t, equal(&corev1.NodeStatus{Conditions: first}, a))
}
