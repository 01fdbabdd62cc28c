import { inBrowser, withBase } from 'vitepress';
import DefaultTheme from 'vitepress/theme';
import { defineComponent, h, onMounted, ref } from 'vue';

let loading;
const loadMermaid = () => {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement('script');
    Object.assign(script, {
      src: withBase('/mermaid.js'),
      onload: () => resolve(globalThis.mermaid),
      onerror: reject,
    });
    document.head.append(script);
  });
  return loading;
};

/** Draws a Mermaid diagram in the browser; the code of Mermaid is loaded by pages with a diagram only. */
const Diagram = defineComponent({
  props: { code: { type: String, required: true } },
  setup({ code }) {
    const drawing = ref('');
    onMounted(async () => {
      const mermaid = await loadMermaid();
      const isDark = document.documentElement.classList.contains('dark');
      mermaid.initialize({ startOnLoad: false, theme: isDark ? 'dark' : 'neutral' });
      const id = `diagram-${code.length}`;
      drawing.value = (await mermaid.render(id, decodeURIComponent(code))).svg;
    });
    return () => h('div', { class: 'diagram', innerHTML: drawing.value });
  },
});

export default {
  extends: DefaultTheme,
  enhanceApp({ app, router }) {
    app.component('Diagram', Diagram);
    router.onAfterRouteChange = (path) => {
      if (inBrowser) document.documentElement.lang = path.startsWith('/brukerveiledning') ? 'nb' : 'en';
    };
  },
};
