import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';

interface Focused {
  readonly id: string;
  readonly text: string;
  readonly isVisible: boolean;
}

const focused = `(() => {
  const element = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  const { width, height } = element.getBoundingClientRect();
  const isVisible = outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2 && width > 0 && height > 0;
  return { id: element.id, text: element.innerText, isVisible };
})()`;

/** Somebody who has no mouse. */
export interface Keyboard {
  /** The id of the element that has the focus. */
  focus(): Promise<string>;
  /** Presses Tab until the control with this id or text has the focus, which must be visible at every stop. */
  tabTo(control: string): Promise<void>;
  /** Replaces what a field holds. */
  fill(id: string, text: string): Promise<void>;
  press(control: string): Promise<void>;
  toggle(id: string): Promise<void>;
}

const stopsAtMost = 60;

export const keyboardOf = (page: Page): Keyboard => {
  const tabTo = async (control: string): Promise<void> => {
    const passed: string[] = [];
    for (let stop = 0; stop < stopsAtMost; stop++) {
      const { id, text, isVisible } = await page.evaluate<Focused>(focused);
      if (id === control || text === control) {
        assert.ok(isVisible, `the focus on ${control} is visible`);
        return;
      }
      passed.push(id || text);
      await page.keyboard.press('Tab');
    }
    assert.fail(`Tab does not reach "${control}"; it passes ${passed.join(', ')}`);
  };
  return {
    tabTo,
    focus: async () => (await page.evaluate<Focused>(focused)).id,
    fill: async (id, text) => {
      await tabTo(id);
      await page.keyboard.press('Control+A');
      if (text === '') await page.keyboard.press('Delete');
      else await page.keyboard.insertText(text);
    },
    press: async (control) => {
      await tabTo(control);
      await page.keyboard.press('Enter');
    },
    toggle: async (id) => {
      await tabTo(id);
      await page.keyboard.press('Space');
    },
  };
};
