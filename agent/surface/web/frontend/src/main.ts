import { store } from "./store.js";
import { followTheme } from "./theme.js";
import "./shell.js";

followTheme();
store.start();
