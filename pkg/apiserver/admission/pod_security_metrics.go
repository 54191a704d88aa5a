package admission

import (
	"strconv"
	"strings"

	"bonsai/pkg/apiserver/meter"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	podsecurityapi "k8s.io/pod-security-admission/api"
	podsecuritymetrics "k8s.io/pod-security-admission/metrics"
)

// podSecurityCounts are upstream's metrics of the judgements.
type podSecurityCounts struct {
	evaluations, exemptions, errors *prometheus.CounterVec
	// plainCreate and plainUpdate count pods in namespaces that say nothing: the ones that are not judged.
	plainCreate, plainUpdate prometheus.Counter
}

func newPodSecurityCounts(set *meter.Set) *podSecurityCounts {
	if set == nil {
		set = meter.New() // which nobody reads
	}
	about := []string{"request_operation", "resource", "subresource"}
	c := &podSecurityCounts{
		evaluations: set.Counter("pod_security_evaluations_total", "Judgements of pods by Pod Security Standards, those who are exempt left out.",
			append([]string{"decision", "policy_level", "policy_version", "mode"}, about...)...),
		exemptions: set.Counter("pod_security_exemptions_total", "Requests that were exempt from Pod Security Standards.", about...),
		errors:     set.Counter("pod_security_errors_total", "Errors that kept a pod from being judged as it should.", append([]string{"fatal"}, about...)...),
	}
	c.plainCreate = c.evaluations.WithLabelValues("allow", "privileged", "latest", "enforce", "create", "pod", "")
	c.plainUpdate = c.evaluations.WithLabelValues("allow", "privileged", "latest", "enforce", "update", "pod", "")
	return c
}

func (c *podSecurityCounts) plain(o Operation) {
	if o == Create {
		c.plainCreate.Inc()
	} else {
		c.plainUpdate.Inc()
	}
}

// RecordEvaluation implements the library's Recorder.
func (c *podSecurityCounts) RecordEvaluation(d podsecuritymetrics.Decision, policy podsecurityapi.LevelVersion, mode podsecuritymetrics.Mode, a podsecurityapi.Attributes) {
	version := policy.Version.String()
	if policy.Level == podsecurityapi.LevelPrivileged {
		version = "latest"
	}
	c.evaluations.WithLabelValues(append([]string{string(d), string(policy.Level), version, string(mode)}, labelsOf(a)...)...).Inc()
}

// RecordExemption implements the library's Recorder.
func (c *podSecurityCounts) RecordExemption(a podsecurityapi.Attributes) {
	c.exemptions.WithLabelValues(labelsOf(a)...).Inc()
}

// RecordError implements the library's Recorder.
func (c *podSecurityCounts) RecordError(fatal bool, a podsecurityapi.Attributes) {
	c.errors.WithLabelValues(append([]string{strconv.FormatBool(fatal)}, labelsOf(a)...)...).Inc()
}

func labelsOf(a podsecurityapi.Attributes) []string {
	what := "controller"
	switch r := a.GetResource(); {
	case r.Group == "" && r.Resource == "pods":
		what = "pod"
	case r.Group == "" && r.Resource == "namespaces":
		what = "namespace"
	}
	return []string{strings.ToLower(string(admissionv1.Operation(a.GetOperation()))), what, a.GetSubresource()}
}
