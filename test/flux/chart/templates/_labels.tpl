{{- define "selector" -}}
app: jupyterhub
component: {{ .component }}
release: {{ .top.Release.Name }}
{{- end }}

{{- define "labels" -}}
{{ include "selector" . }}
chart: {{ .top.Chart.Name }}-{{ .top.Chart.Version }}
heritage: {{ .top.Release.Service }}
app.kubernetes.io/managed-by: {{ .top.Release.Service }}
{{- end }}
