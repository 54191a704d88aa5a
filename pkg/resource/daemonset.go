package resource

import (
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func daemonSets() *Row {
	return Row{
		Resource: "daemonsets", Singular: "daemonset", Kind: "DaemonSet",
		ShortNames: []string{"ds"}, Categories: []string{"all"},
		Namespaced:          true,
		Versions:            []Version{servedAs[appsv1.DaemonSet, appsv1.DaemonSetList](appsv1.SchemeGroupVersion)},
		Prefix:              "daemonsets",
		Columns:             daemonSetColumns(),
		HiddenAnnotation:    appsv1.DeprecatedTemplateGeneration,
		UnconditionalUpdate: true,
	}.with(rules(Rules[*appsv1.DaemonSet]{
		Default:        defaultDaemonSet,
		PrepareCreate:  prepareDaemonSetCreate,
		PrepareUpdate:  prepareDaemonSetUpdate,
		Validate:       validateDaemonSet,
		ValidateUpdate: validateDaemonSetUpdate,
		Warnings:       daemonSetWarnings,
		Cells:          daemonSetCells,
		Unreadable:     unreadableDaemonSet,
		PrepareStatus:  prepareDaemonSetStatus,
		ValidateStatus: validateDaemonSetStatusUpdate,
	}))
}

func defaultDaemonSet(d *appsv1.DaemonSet) {
	strategy := &d.Spec.UpdateStrategy
	or(&strategy.Type, appsv1.RollingUpdateDaemonSetStrategyType)
	if strategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		orPtr(&strategy.RollingUpdate, appsv1.RollingUpdateDaemonSet{})
		orPtr(&strategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
		orPtr(&strategy.RollingUpdate.MaxSurge, intstr.FromInt32(0))
	}
	orPtr(&d.Spec.RevisionHistoryLimit, 10)
	defaultPodTemplate(&d.Spec.Template)
	if _, given := d.Annotations[appsv1.DeprecatedTemplateGeneration]; !given {
		setTemplateGeneration(d, 0)
	}
}

// The template's generation was a field once and is an annotation since, which only the server counts. Upstream has the field
// still, so whoever writes a DaemonSet writes it, and an object's metadata alone does not show it.

func templateGeneration(d *appsv1.DaemonSet) int64 {
	n, err := strconv.ParseInt(d.Annotations[appsv1.DeprecatedTemplateGeneration], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// unreadableDaemonSet is what upstream says when it cannot make the field of the annotation.
func unreadableDaemonSet(d *appsv1.DaemonSet) error {
	text, given := d.Annotations[appsv1.DeprecatedTemplateGeneration]
	if !given {
		return nil
	}
	_, err := strconv.ParseInt(text, 10, 64)
	return err
}

func setTemplateGeneration(d *appsv1.DaemonSet, n int64) {
	if d.Annotations == nil {
		d.Annotations = map[string]string{}
	}
	d.Annotations[appsv1.DeprecatedTemplateGeneration] = strconv.FormatInt(n, 10)
}

func prepareDaemonSetCreate(d *appsv1.DaemonSet) {
	d.Status = appsv1.DaemonSetStatus{}
	d.Generation = 1
	setTemplateGeneration(d, max(templateGeneration(d), 1))
	dropOffFields(&d.Spec.Template.Spec)
}

func prepareDaemonSetUpdate(next, old *appsv1.DaemonSet) {
	next.Status = *old.Status.DeepCopy()
	dropOffFields(&next.Spec.Template.Spec)
	generation := templateGeneration(old)
	if !same(next.Spec.Template, old.Spec.Template) {
		generation++
	}
	setTemplateGeneration(next, generation)
	raiseGeneration(next, old, !same(next.Spec, old.Spec))
}

func prepareDaemonSetStatus(next, old *appsv1.DaemonSet) {
	next.Spec = *old.Spec.DeepCopy()
	next.Generation = old.Generation
	setTemplateGeneration(next, templateGeneration(old))
}

func daemonSetColumns() []metav1.TableColumnDefinition {
	spec, status := appsv1.DaemonSetSpec{}.SwaggerDoc(), appsv1.DaemonSetStatus{}.SwaggerDoc()
	return append([]metav1.TableColumnDefinition{
		nameColumn,
		integer(column("Desired", status["desiredNumberScheduled"])),
		integer(column("Current", status["currentNumberScheduled"])),
		integer(column("Ready", status["numberReady"])),
		integer(column("Up-to-date", status["updatedNumberScheduled"])),
		integer(column("Available", status["numberAvailable"])),
		column("Node Selector", corev1.PodSpec{}.SwaggerDoc()["nodeSelector"]),
		ageColumn,
	}, templateColumns(spec["selector"])...)
}

func daemonSetCells(d *appsv1.DaemonSet, now time.Time) []any {
	s := &d.Status
	return append([]any{
		d.Name, int64(s.DesiredNumberScheduled), int64(s.CurrentNumberScheduled), int64(s.NumberReady),
		int64(s.UpdatedNumberScheduled), int64(s.NumberAvailable), selectorText(d.Spec.Template.Spec.NodeSelector), age(d, now),
	}, templateCells(&d.Spec.Template, d.Spec.Selector)...)
}
