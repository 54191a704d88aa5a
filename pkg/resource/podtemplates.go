package resource

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podTemplates are templates for pods that nothing uses by itself.
func podTemplates() *Row {
	return Row{
		Resource: "podtemplates", Singular: "podtemplate", Kind: "PodTemplate",
		Namespaced: true,
		Versions:   []Version{servedAs[corev1.PodTemplate, corev1.PodTemplateList](corev1.SchemeGroupVersion)},
		Prefix:     "podtemplates",
		Columns: []metav1.TableColumnDefinition{
			nameColumn,
			column("Containers", "Names of each container in the template."),
			column("Images", "Images referenced by each container in the template."),
			column("Pod Labels", "The labels for the pod template."),
		},
		UnconditionalUpdate: true, DeleteReturnsObject: true,
	}.with(rules(Rules[*corev1.PodTemplate]{
		Default: func(p *corev1.PodTemplate) { defaultPodTemplate(&p.Template) },
		PrepareCreate: func(p *corev1.PodTemplate) {
			p.Generation = 1
			dropOffTemplate(&p.Template)
		},
		PrepareUpdate: func(next, old *corev1.PodTemplate) {
			dropOffTemplate(&next.Template)
			raiseGeneration(next, old, !same(next.Template, old.Template))
		},
		Validate: func(p *corev1.PodTemplate) field.ErrorList {
			return append(validateMeta(p, true, subdomainName), validatePodTemplate(&p.Template, newPlace("template"))...)
		},
		ValidateUpdate: func(next, old *corev1.PodTemplate) field.ErrorList {
			return append(validateMetaUpdate(next, old), validatePodTemplate(&next.Template, newPlace("template"))...)
		},
		Warnings: func(next, old *corev1.PodTemplate) []string {
			if old != nil && next.Generation == old.Generation {
				return nil
			}
			return podTemplateWarnings(&next.Template, newPlace("template"))
		},
		Cells: func(p *corev1.PodTemplate, _ time.Time) []any {
			names, images := containerCells(p.Template.Spec.Containers)
			return []any{p.Name, names, images, selectorText(p.Template.Labels)}
		},
	}))
}
