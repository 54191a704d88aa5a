package proxy

import (
	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// labelProxyName hands a service over to another proxy.
const labelProxyName = "service.kubernetes.io/service-proxy-name"

// follow notes what the informers say, and which services it makes dirty.
func (p *proxier) follow(f informers.SharedInformerFactory) ([]cache.InformerSynced, error) {
	services, err := f.Core().V1().Services().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { p.setService(o.(*v1.Service)) },
		UpdateFunc: func(_, o any) { p.setService(o.(*v1.Service)) },
		DeleteFunc: func(o any) { p.dropService(last(o).(*v1.Service)) },
	})
	if err != nil {
		return nil, err
	}
	slices, err := f.Discovery().V1().EndpointSlices().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { p.setSlice(o.(*discoveryv1.EndpointSlice)) },
		UpdateFunc: func(_, o any) { p.setSlice(o.(*discoveryv1.EndpointSlice)) },
		DeleteFunc: func(o any) { p.dropSlice(last(o).(*discoveryv1.EndpointSlice)) },
	})
	if err != nil {
		return nil, err
	}
	return []cache.InformerSynced{services.HasSynced, slices.HasSynced}, nil
}

func last(o any) any {
	if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
		return unknown.Obj
	}
	return o
}

func (p *proxier) setService(s *v1.Service) {
	if s.Labels[labelProxyName] != "" {
		p.dropService(s)
		return
	}
	p.note(s.Namespace+"/"+s.Name, func(key string) { p.services[key] = s })
}

func (p *proxier) dropService(s *v1.Service) {
	p.note(s.Namespace+"/"+s.Name, func(key string) { delete(p.services, key) })
}

func (p *proxier) setSlice(s *discoveryv1.EndpointSlice) {
	p.note(serviceOf(s), func(key string) {
		if p.slices[key] == nil {
			p.slices[key] = map[string]*discoveryv1.EndpointSlice{}
		}
		p.slices[key][s.Name] = s
	})
}

func (p *proxier) dropSlice(s *discoveryv1.EndpointSlice) {
	p.note(serviceOf(s), func(key string) {
		delete(p.slices[key], s.Name)
		if len(p.slices[key]) == 0 {
			delete(p.slices, key)
		}
	})
}

func serviceOf(s *discoveryv1.EndpointSlice) string {
	return s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]
}

// note makes a change under the lock, marks the service dirty and rings the bell.
func (p *proxier) note(service string, change func(key string)) {
	p.mu.Lock()
	change(service)
	p.dirty[service] = true
	p.mu.Unlock()
	select {
	case p.bell <- struct{}{}:
	default:
	}
}
