package resource

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// lifecycleAndProbes validates what a container that stays may have.
func (c *podCheck) lifecycleAndProbes(ctr *corev1.Container, path *place) field.ErrorList {
	return join(
		given(ctr.Lifecycle, path.Child("lifecycle"), c.lifecycle),
		given(ctr.LivenessProbe, path.Child("livenessProbe"), c.restartingProbe),
		given(ctr.ReadinessProbe, path.Child("readinessProbe"), c.readinessProbe),
		given(ctr.StartupProbe, path.Child("startupProbe"), c.restartingProbe),
	)
}

func (c *podCheck) lifecycle(l *corev1.Lifecycle, path *place) field.ErrorList {
	hook := func(h *corev1.LifecycleHandler, path *place) field.ErrorList {
		return c.handler(handler{h.Exec, h.HTTPGet, h.TCPSocket, nil, h.Sleep}, path)
	}
	return join(given(l.PostStart, path.Child("postStart"), hook), given(l.PreStop, path.Child("preStop"), hook))
}

// restartingProbe is one whose failure ends the container: a single success must be enough.
func (c *podCheck) restartingProbe(p *corev1.Probe, path *place) field.ErrorList {
	return append(c.probe(p, path), when(p.SuccessThreshold != 1, invalidAt(path.Child("successThreshold"), p.SuccessThreshold, "must be 1"))...)
}

func (c *podCheck) readinessProbe(p *corev1.Probe, path *place) field.ErrorList {
	return append(c.probe(p, path), when(p.TerminationGracePeriodSeconds != nil,
		invalidAt(path.Child("terminationGracePeriodSeconds"), p.TerminationGracePeriodSeconds, "must not be set for readinessProbes"))...)
}

func (c *podCheck) probe(p *corev1.Probe, path *place) field.ErrorList {
	errs := join(
		c.handler(handler{p.Exec, p.HTTPGet, p.TCPSocket, p.GRPC, nil}, path),
		nonNegative(int64(p.InitialDelaySeconds), path.Child("initialDelaySeconds")),
		nonNegative(int64(p.TimeoutSeconds), path.Child("timeoutSeconds")),
		nonNegative(int64(p.PeriodSeconds), path.Child("periodSeconds")),
		nonNegative(int64(p.SuccessThreshold), path.Child("successThreshold")),
		nonNegative(int64(p.FailureThreshold), path.Child("failureThreshold")),
	)
	if g := p.TerminationGracePeriodSeconds; g != nil && *g <= 0 {
		errs = append(errs, invalidAt(path.Child("terminationGracePeriodSeconds"), *g, "must be greater than 0"))
	}
	return errs
}

// handler is what a probe or a hook does, exactly one of these.
type handler struct {
	exec  *corev1.ExecAction
	http  *corev1.HTTPGetAction
	tcp   *corev1.TCPSocketAction
	grpc  *corev1.GRPCAction
	sleep *corev1.SleepAction
}

func (c *podCheck) handler(h handler, path *place) field.ErrorList {
	all := choices{path: path, refusal: "may not specify more than 1 handler type"}
	choose(&all, h.exec, "exec", execAction)
	choose(&all, h.http, "httpGet", httpAction)
	choose(&all, h.tcp, "tcpSocket", func(t *corev1.TCPSocketAction, path *place) field.ErrorList {
		return portNumberOrName(t.Port, path.Child("port"))
	})
	choose(&all, h.grpc, "grpc", func(g *corev1.GRPCAction, path *place) field.ErrorList {
		return portNumberOrName(intstr.FromInt32(g.Port), path.Child("port"))
	})
	choose(&all, h.sleep, "sleep", c.sleep)
	return append(all.errs, when(all.count == 0, requiredAt(path, "must specify a handler type"))...)
}

func execAction(e *corev1.ExecAction, path *place) field.ErrorList {
	return when(len(e.Command) == 0, requiredAt(path.Child("command"), ""))
}

func httpAction(h *corev1.HTTPGetAction, path *place) field.ErrorList {
	errs := join(
		present(h.Path, path.Child("path")),
		portNumberOrName(h.Port, path.Child("port")),
		oneOf(h.Scheme, path.Child("scheme"), corev1.URISchemeHTTP, corev1.URISchemeHTTPS))
	for _, header := range h.HTTPHeaders {
		errs = append(errs, invalid(path.Child("httpHeaders"), header.Name, validation.IsHTTPHeaderName(header.Name))...)
	}
	return errs
}

func portNumberOrName(p intstr.IntOrString, path *place) field.ErrorList {
	if p.Type == intstr.String {
		return invalid(path, p.StrVal, validation.IsValidPortName(p.StrVal))
	}
	return invalid(path, p.IntValue(), validation.IsValidPortNum(p.IntValue()))
}

// sleep must end before the pod's grace does.
func (c *podCheck) sleep(s *corev1.SleepAction, path *place) field.ErrorList {
	grace := c.spec.TerminationGracePeriodSeconds
	if grace == nil || (s.Seconds >= 0 && s.Seconds <= *grace) {
		return nil
	}
	return field.ErrorList{invalidAt(path, s.Seconds, fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", *grace))}
}
